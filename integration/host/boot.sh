#!/bin/bash
# Boots the test host, runs DIR/run in it as root, and goes off; the exit status is that of DIR/run.
#
#   integration/host/boot.sh CACHE DIR
#
# CACHE has disk.ext4 (image.sh) and linux.uml (kernel.sh); the disk stays as it is, what the host writes is thrown away.
# DIR is /job in the host, shared, and its working directory. What DIR/run prints is printed here; it makes DIR/started first.
# Status 125: the host does not boot here; 124: it did not finish in time, or broke down.
# Environment: MEMORY (2048 MiB), CPUS (2), SECURITY (apparmor, or selinux), CGROUPS (v2 alone; v1; or hybrid, where systemd has its
# units in a unified tree beside v1), PATIENCE (900 s), BOOT_PATIENCE (300 s of it), CONSOLE (a file for the kernel's words).
set -euo pipefail
cache=$(realpath "${1:?usage: boot.sh CACHE DIR}")
job=$(realpath "${2:?usage: boot.sh CACHE DIR}")

security=${SECURITY:-apparmor}
# systemd 256 and 257 want to be told twice.
legacy="systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
case ${CGROUPS:-v2} in
v2) layout= ;;
hybrid) layout=$legacy ;;
v1) layout="$legacy systemd.legacy_systemd_cgroup_controller=1" ;;
*) echo "boot.sh: CGROUPS=$CGROUPS: v2, v1 or hybrid" >&2; exit 2 ;;
esac
scratch=$(mktemp -d)
host=
cleanup() {
    # User-mode Linux is a tree of processes in a session of its own: its group is all of it, and nobody else's.
    [[ -z $host ]] || kill -KILL -- "-$host" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 125' INT TERM HUP

# Its memory is a file that is executed from: in memory, where there is room for it.
for memory in /dev/shm "${TMPDIR:-/tmp}" "$cache"; do
    free=$(df --output=avail --block-size=1M "$memory" 2>/dev/null | tail -n 1)
    (( ${free:-0} > ${MEMORY:-2048} )) || continue
    probe=$(mktemp -p "$memory" 2>/dev/null) || continue
    cp /bin/true "$probe" && chmod 700 "$probe" && "$probe" 2>/dev/null && works=yes || works=no
    rm -f "$probe"
    [[ $works == no ]] || break
    memory=
done
[[ -n $memory ]] || { echo "boot.sh: no folder for ${MEMORY:-2048} MiB of memory that may be executed from" >&2; exit 125; }

rm -f "$job/status" "$job/started"
console=${CONSOLE:-$scratch/console}
# The serial line is this script's standard output.
# shellcheck disable=SC2086
TMPDIR=$memory setsid "$cache/linux.uml" \
    mem="${MEMORY:-2048}M" ncpus="${CPUS:-2}" seccomp=on umid=corten uml_dir="$scratch/" \
    ubd0="$scratch/written,$cache/disk.ext4" root=/dev/ubda rw hostfs="$job" \
    ssl0=fd:3,fd:4 con=null con0=null,fd:1 quiet panic=-1 \
    security="$security" "$security=1" $layout \
    3</dev/null 4>&1 >"$console" 2>&1 </dev/null &
host=$!
# Else the shell tells of its end.
disown "$host"
for (( tenth = 0; tenth < ${PATIENCE:-900} * 10; tenth++ )); do
    [[ ! -s $job/status ]] && kill -0 "$host" 2>/dev/null || break
    [[ -e $job/started ]] || (( tenth < ${BOOT_PATIENCE:-300} * 10 )) || break
    sleep 0.1
done

if [[ ! -s $job/status ]]; then
    echo "boot.sh: the host did not $([[ -e $job/started ]] && echo finish || echo boot); its last words:" >&2
    tail -n 30 "$console" >&2
    [[ -e $job/started ]] && exit 124 || exit 125
fi
exit "$(<"$job/status")"
