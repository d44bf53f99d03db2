#!/bin/bash
# Fails unless the program is what we promise to ship: static, at a fixed address, with no interpreter.
#
#   integration/check-static.sh PROGRAM
#
# Reads the ELF header itself (e_type, then the program headers), so that no binutils are needed.
set -euo pipefail

program=$1

# number OFFSET BYTES: an unsigned little-endian number of the file.
number() {
    od -An -v -t "u$2" -j "$1" -N "$2" --endian=little "$program" | tr -d ' '
}

readonly ET_EXEC=2 PT_DYNAMIC=2 PT_INTERP=3

if [[ $(number 16 2) != "$ET_EXEC" ]]; then
    echo "$program: not linked at a fixed address (ELF type $(number 16 2), wanted $ET_EXEC)" >&2
    exit 1
fi
offset=$(number 32 8) size=$(number 54 2) count=$(number 56 2)
for (( i = 0; i < count; i++ )); do
    type=$(number $(( offset + i * size )) 4)
    if [[ $type == "$PT_INTERP" || $type == "$PT_DYNAMIC" ]]; then
        echo "$program: not static (program header $i has type $type)" >&2
        exit 1
    fi
done
echo "    $program: static, $(( $(stat -Lc %s "$program") / 1024 )) KiB"
