#!/bin/sh
# Runs in the test host, as root: every test program of /job/tests, with /job/corten as the runtime. One line a program,
# and the whole output of those that fail; fails when one of them does.
# /tmp is a tmpfs without devices there.
export RUNTIME=/job/corten TMPDIR=/var/tmp
mkdir -p output
failed=0
for program in tests/*; do
    name=${program#tests/}
    timeout 600 "$program" --test-threads 2 --nocapture >"output/$name" 2>&1
    status=$?
    counts=$(sed -n 's/^test result: [a-zA-Z]*\. \(.*\) measured.*/\1/p' "output/$name" | sed 's/; [0-9]* *$//')
    echo "$name: ${counts:-ended with status $status}"
    if [ "$status" -ne 0 ]; then
        failed=1
        grep -E '^test .* FAILED$|panicked at' -A 12 "output/$name" | head -n 80
    fi
done
exit "$failed"
