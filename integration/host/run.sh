#!/bin/bash
# Runs the tests that make containers on a host like the users': systemd as pid 1, cgroup v2 alone, AppArmor; and those
# that meet labels once more with SELinux instead.
#
#   integration/host/run.sh [TEST...]      all of them, or those named (systemd, update ...)
#
# RUNTIME is what they test (bin/corten). SECURITY=apparmor or selinux boots that host alone. The host is built once into HOST_CACHE (~/.cache/corten-host): its kernel takes
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
# What SELinux has a part in: labels, and each file, process and message that an active policy looks at.
labelled=' labels lifecycle run exec exec_process rootfs mounts console systemd update rootless '
cd "$here/../.."
while read -r program; do
    name=$(basename "${program%-*}")
    [[ $elsewhere != *" $name "* ]] || continue
    (( $# == 0 )) || [[ " $* " == *" $name "* ]] || continue
    cp "$program" "$job/tests/$name"
done < <(cargo test --no-run --locked --tests 2>&1 | sed -n 's/.*Executable tests.*(\(.*\))/\1/p')
boot() {
    echo "==> booting the test host with $1"
    SECURITY=$1 "$here/boot.sh" "$cache" "$job"
}

status=0
if [[ ${SECURITY:-apparmor} == apparmor ]]; then
    boot apparmor || status=$?
fi
if [[ ${SECURITY:-selinux} == selinux ]]; then
    for program in "$job"/tests/*; do
        [[ $labelled == *" ${program##*/} "* ]] || rm "$program"
    done
    rm -rf "$job/status" "$job/output"
    ! compgen -G "$job/tests/*" >/dev/null || boot selinux || status=$?
fi
exit "$status"
