#!/bin/bash
# `make demo`: a real busybox bundle goes through spec, create, state, start, kill, delete, then run.
#
#   integration/demo.sh            RUNTIME=bin/corten   (or any other OCI runtime, to compare)
#
# Shows what the container is (pid 1, own host name, own mounts, dropped capabilities, memory limit in force) and, at the
# end, that nothing of it is left. Works on hosts with cgroup v1, hybrid and v2. Ends with an error when a step fails,
# when the container is not what config.json asked for, or when something is left behind.
set -euo pipefail

RUNTIME=$(realpath "${RUNTIME:-$(dirname "$0")/../bin/corten}")
name=$(basename "$RUNTIME")
id=demo-$$
memory_limit=$(( 64 * 1024 * 1024 ))
work=$(mktemp -d /tmp/corten-demo.XXXXXX)
bundle=$work/bundle
root=$work/state

main() {
    if (( EUID != 0 )); then
        fail "the demo needs root, for it sets a memory limit"
    fi
    [[ -z $(traces) ]] || fail "before the demo: $(traces)"

    heading "A bundle: busybox as the root file system, config.json from \"$name spec\""
    make_rootfs
    show "$name" spec --bundle "$bundle"
    configure sh /bin/life
    jq -r '"    args \(.process.args)  hostname \(.hostname)  memory \(.linux.resources.memory.limit)  cgroup \(.linux.cgroupsPath)"' \
        "$bundle/config.json"
    if [[ $name == corten ]]; then
        heading "What create is going to do (nothing is done yet)"
        show corten plan --bundle "$bundle" >"$work/plan"
        head -n 8 "$work/plan"
        echo "    … $(( $(wc -l <"$work/plan") - 8 )) more"
    fi

    heading "create: all is set up, and the container's process waits"
    show "$name" create --bundle "$bundle" --pid-file "$work/pid" "$id" >"$work/output" 2>&1 </dev/null || {
        cat "$work/output"; fail "create failed"
    }
    pid=$(<"$work/pid")
    expect_status created

    heading "start: it runs its program"
    show "$name" start "$id"
    wait_for "the container's first words" grep -q '^ready$' "$work/output"
    sed '/^ready$/d' "$work/output"
    expect_status running
    check_memory_limit
    check_capabilities
    check_isolation

    heading "kill, then delete"
    show "$name" kill "$id" TERM
    wait_for "the container's end" has_status stopped
    expect_status stopped
    grep '^    SIGTERM' "$work/output"
    show "$name" delete "$id"

    heading "run: create, start, wait and delete in one"
    configure sh -c 'echo "    pid $$ on $(hostname) says hello and exits with 7"; exit 7'
    local code=0
    show "$name" run --bundle "$bundle" "$id" </dev/null || code=$?
    (( code == 7 )) || fail "run ended with $code, not with the program's 7"
    echo "    $name run ended with the program's exit code: $code"

    heading "Nothing is left"
    check_nothing_is_left
}

# ---- the bundle ------------------------------------------------------------------------------------------------------

make_rootfs() {
    local rootfs=$bundle/rootfs applet busybox
    busybox=$(command -v busybox) || fail "busybox is not installed (make setup)"
    mkdir -p "$rootfs"/{bin,dev,etc,proc,sys,tmp,root}
    cp "$busybox" "$rootfs/bin/busybox"
    for applet in $("$busybox" --list); do
        [[ $applet == busybox ]] || ln -s busybox "$rootfs/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
    cat >"$rootfs/bin/life" <<'LIFE'
#!/bin/sh
# The container's program: says who it is, then waits for SIGTERM.
echo "    pid        $$"
echo "    hostname   $(hostname)"
echo "    processes  $(ps | sed 1d | wc -l) (itself, and this count's own three)"
echo "    root       $(touch /probe 2>&1 || true)"
echo "    mounts     $(cut -d' ' -f2 /proc/mounts | tr '\n' ' ')"
trap 'echo "    SIGTERM came: going"; exit 0' TERM
echo ready
sleep 1000 &
wait
LIFE
    chmod 755 "$rootfs/bin/life"
}

# configure ARGUMENT...: config.json with this program, a host name, a memory limit and a cgroup path.
configure() {
    jq --arg hostname "$name-demo" --arg cgroup "/$id" --argjson limit "$memory_limit" '
        .process.terminal = false
        | .process.args = $ARGS.positional
        | .hostname = $hostname
        | .linux.cgroupsPath = $cgroup
        | .linux.resources.memory.limit = $limit' \
        "$bundle/config.json" --args -- "$@" >"$work/config.json"
    mv "$work/config.json" "$bundle/config.json"
}

# ---- what the container is -------------------------------------------------------------------------------------------

check_memory_limit() {
    local path hierarchy limit
    path=$(sed -n 's/^[0-9]*:\([a-z_,]*,\)\?memory\(,[a-z_,]*\)\?://p' "/proc/$pid/cgroup")
    if [[ -n $path ]]; then
        hierarchy=$(findmnt -n -o TARGET -t cgroup -O memory | head -n 1)
        limit=$hierarchy$path/memory.limit_in_bytes
    else
        path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
        hierarchy=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
        limit=$hierarchy$path/memory.max
    fi
    [[ -r $limit ]] || fail "no memory limit at $limit"
    echo "    memory     $(<"$limit") bytes in $limit"
    (( $(<"$limit") == memory_limit )) || fail "the memory limit is not $memory_limit"
}

check_capabilities() {
    local mask names=() i wanted
    mask=$((16#$(sed -n 's/^CapEff:\t*//p' "/proc/$pid/status")))
    local all=(CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
        NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
        SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
        AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
        CHECKPOINT_RESTORE)
    for i in "${!all[@]}"; do
        (( mask >> i & 1 )) && names+=("CAP_${all[i]}")
    done
    wanted=$(jq -r '.process.capabilities.effective | sort | join(" ")' "$bundle/config.json")
    echo "    effective  ${names[*]} (of ${#all[@]})"
    [[ $(printf '%s\n' "${names[@]}" | sort | paste -sd' ') == "$wanted" ]] || fail "the capabilities are not $wanted"
}

check_isolation() {
    local namespace own=()
    for namespace in mnt pid uts ipc net; do
        [[ $(readlink "/proc/$pid/ns/$namespace") != $(readlink "/proc/self/ns/$namespace") ]] ||
            fail "the container shares our $namespace namespace"
        own+=("$namespace")
    done
    echo "    namespaces ${own[*]} are its own"
    grep -q '^    pid        1$' "$work/output" || fail "the program is not pid 1"
    grep -q "^    hostname   $name-demo$" "$work/output" || fail "the host name is not $name-demo"
    ! grep -q "$work" <(sed -n 's/^    mounts //p' "$work/output") || fail "the container sees our mounts"
}

# ---- nothing left ----------------------------------------------------------------------------------------------------

# Everything on this host that carries the container's name or lives in its directories, one a line.
traces() {
    local process
    for process in /proc/[0-9]*; do
        if grep -qs "/$id" "$process/cgroup" && ! grep -qs '^State:.*[ZX]' "$process/status"; then
            echo "process ${process#/proc/}"
        fi
    done
    find /sys/fs/cgroup -type d -name "*$id*" -printf 'cgroup %p\n' 2>/dev/null || true
    grep -e "$id" -e "$work" /proc/self/mountinfo | sed 's/^/mount /' || true
    find "$root" -mindepth 1 -path "*$id*" -printf 'state %p\n' 2>/dev/null || true
}

check_nothing_is_left() {
    local left
    left=$(traces)
    if [[ -n $left ]]; then
        echo "$left" >&2
        fail "something is left"
    fi
    echo "    no process, no cgroup, no mount, no state directory"
}

clean_up() {
    local code=$?
    if [[ -d $root/$id ]]; then
        "$RUNTIME" --root "$root" delete --force "$id" || true
    fi
    find /sys/fs/cgroup -depth -type d -name "*$id*" -exec rmdir {} + 2>/dev/null || true
    rm -rf --one-file-system "$work"
    exit "$code"
}

# ---- telling ---------------------------------------------------------------------------------------------------------

heading() { printf '\n==> %s\n' "$*"; }

fail() { echo "demo: $*" >&2; exit 1; }

# show NAME ARGUMENT...: prints the command and runs it, with the runtime's path and state directory filled in.
show() {
    shift
    printf '    $ %s' "$name" >&3
    printf ' %s' "$@" | sed "s|$work|…|g" >&3
    printf '\n' >&3
    "$RUNTIME" --root "$root" "$@"
}

status() { "$RUNTIME" --root "$root" state "$id" | jq -r .status; }

has_status() { [[ $(status) == "$1" ]]; }

expect_status() {
    local state
    state=$("$RUNTIME" --root "$root" state "$id" | jq -c '{id, status, pid}')
    echo "    $name state: $state"
    [[ $(jq -r .status <<<"$state") == "$1" ]] || fail "the state is not \"$1\""
}

# wait_for WHAT COMMAND...: until the command succeeds, ten seconds at the most.
wait_for() {
    local what=$1 i
    shift
    for (( i = 0; i < 500; i++ )); do
        "$@" && return 0
        sleep 0.02
    done
    fail "waited in vain for $what"
}

exec 3>&1
trap clean_up EXIT
trap 'exit 130' INT TERM
main
