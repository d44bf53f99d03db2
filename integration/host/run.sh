#!/bin/bash
# Runs the tests that make containers on a host like the users': systemd as pid 1, cgroup v2 alone, AppArmor.
#
#   integration/host/run.sh [TEST...]      all of them, or those named (systemd, update ...)
#
# RUNTIME is what they test (bin/corten). The host is built once into HOST_CACHE (~/.cache/corten-host): its kernel takes
# some minutes, its disk one.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=${HOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/corten-host}
[[ -x $cache/linux.uml ]] || { echo "==> building the test host's kernel"; "$here/kernel.sh" "$cache"; }
[[ -s $cache/disk.ext4 && $cache/disk.ext4 -nt $here/image.sh ]] ||
    { echo "==> building the test host's disk"; "$here/image.sh" "$cache"; }

job=$(mktemp -d)
trap 'rm -rf "$job"' EXIT
# The ordinary user of the host runs the binary too.
chmod 755 "$job"
mkdir "$job/tests"
cp "$(realpath "${RUNTIME:-$here/../../bin/corten}")" "$job/corten"
cp "$here/suite.sh" "$job/run"
# Fixtures are read from where the sources were when the tests were built.
cp -r "$here/../../tests" "$job/source"
realpath "$here/../.." >"$job/place"
# These ask nothing of the host, and the last one compares with this machine's libseccomp.
elsewhere=' layers plans config seccomp_oracle '
cd "$here/../.."
while read -r program; do
    name=$(basename "${program%-*}")
    [[ $elsewhere != *" $name "* ]] || continue
    (( $# == 0 )) || [[ " $* " == *" $name "* ]] || continue
    cp "$program" "$job/tests/$name"
done < <(cargo test --no-run --locked --tests 2>&1 | sed -n 's/.*Executable tests.*(\(.*\))/\1/p')
echo "==> booting the test host"
"$here/boot.sh" "$cache" "$job"
