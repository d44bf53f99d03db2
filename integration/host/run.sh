#!/bin/bash
# Runs the tests that make containers on a host like the users': systemd as pid 1, cgroup v2 alone, AppArmor; those
# that meet labels and limits once more with SELinux instead; and those that meet cgroups on hosts whose systemd has them in v1, as it
# was until 2021: beside a unified tree ("hybrid"), and alone.
#
#   integration/host/run.sh [--optional] [SUITE...]      all of them, or those named (systemd, update, conformance ...)
#
# Prints a line a program of tests, and one a suite: how many passed, failed, and found nothing to test there. What they said
# is in target/host. Exit status: 0; 1 when a test failed; 125, with the reason, when the host cannot be built or does
# not boot here: with --optional that is no failure, but a suite that was skipped.
#
# RUNTIME is what they test (bin/corten). SECURITY=apparmor or selinux, CGROUPS=hybrid or v1 boots that host alone. The host is
# built once into HOST_CACHE (~/.cache/corten-host): its kernel takes some minutes, its disk one. BUILD_PATIENCE (3600 s) ends
# that, PATIENCE (5400 s) the tests. NEXTEST_RETRIES=1 gives a test that fails a second try, as cargo-nextest does.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
project=$(realpath "$here/../..")
cache=${HOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/corten-host}
runtime=$(realpath -m "${RUNTIME:-$project/bin/corten}")
optional=no
[[ ${1:-} != --optional ]] || { optional=yes; shift; }
# These ask nothing of the host, and the last one compares with this machine's libseccomp.
elsewhere=' layers plans config contrib seccomp_oracle '
# What SELinux has a part in: labels, limits, and each file, process and message that an active policy looks at.
labelled=' labels limits cgroups_v2 lifecycle run exec exec_process rootfs mounts console systemd update rootless conformance '
# What has to do with cgroups; with v1 alone little is different from hybrid. The first one has nothing to test on v2.
grouped=' systemd_v1 limits lifecycle update pause cgroups exec_cgroup events '
grouped_alone=' systemd_v1 update runtime-tools '
# What is no program of cargo's; the second is built by conformance/runtime_tools.py, which asks for it by name.
apart=' conformance runtime-tools '

unavailable() {
    echo "host: 0 passed, 0 failed, 1 skipped: $1"
    [[ $optional == yes ]] || exit 125
    exit 0
}

build() {
    [[ -x $cache/linux.uml ]] && cmp -s "$here/kernel.config" "$cache/kernel.config" || { echo "==> building the test host's kernel"; "$here/kernel.sh" "$cache"; }
    [[ -s $cache/disk.ext4 && $cache/disk.ext4 -nt $here/image.sh ]] ||
        { echo "==> building the test host's disk"; "$here/image.sh" "$cache"; }
}

# Copies the programs of the suites that are wanted, and what they need.
furnish() {
    mkdir "$job/programs"
    cp "$runtime" "$job/corten"
    cp "$here/suite.sh" "$job/run"
    # Fixtures are read from where the sources were when the tests were built.
    mkdir -p "$job/source/integration"
    cp -r "$project/tests" "$job/source"
    cp -r "$project/integration/contract" "$job/source/integration"
    echo "$project" >"$job/place"
    echo "${NEXTEST_RETRIES:-0}" >"$job/retries"
    local program name
    cargo_wanted "$@" && while read -r program; do
        name=$(basename "${program%-*}")
        [[ $elsewhere == *" $name "* ]] || ! wanted "$name" "$@" || cp "$program" "$job/programs/$name"
    done < <(cd "$project" && cargo test --no-run --locked --tests 2>&1 | sed -n 's/.*Executable tests.*(\(.*\))/\1/p')
    # Of the engine's tests the one that asks for a systemd of an ordinary user.
    if wanted user_systemd "$@" && [[ -x $project/bin/ocictl ]]; then
        cp "$project/bin/ocictl" "$job/ocictl"
        program=$(cd "$project" && cargo test --no-run --locked -p ocictl --test user_systemd 2>&1 | sed -n 's/.*Executable tests.*(\(.*\))/\1/p')
        cp "$project/$program" "$job/programs/user_systemd" 2>/dev/null || cp "$program" "$job/programs/user_systemd"
    fi
    if wanted conformance "$@"; then
        make --no-print-directory -C "$project" conformance-suite
        mkdir "$job/suite"
        cp "$project"/target/x86_64-unknown-linux-musl/conformance/{corten-conformance,probe} "$job/suite/"
        ln -s ../suite/corten-conformance "$job/programs/conformance"
    fi
    if [[ " $* " == *" runtime-tools "* ]]; then
        mkdir -p "$job/source/conformance" "$job/source/target/conformance/runtime-tools"
        cp "$project/conformance/runtime_tools.py" "$job/source/conformance/"
        cp -r "$project/target/conformance/runtime-tools/bin" "$job/source/target/conformance/runtime-tools/"
        ln -s ../source/conformance/runtime_tools.py "$job/programs/runtime-tools"
    fi
    compgen -G "$job/programs/*" >/dev/null || { echo "run.sh: no such suite: $*" >&2; exit 2; }
}

# Whether a suite is wanted that cargo builds.
cargo_wanted() {
    local name
    for name in "$@"; do
        [[ $apart == *" $name "* ]] || return 0
    done
    (( $# == 0 ))
}

wanted() {
    local name=$1
    shift
    (( $# == 0 )) || [[ " $* " == *" $name "* ]]
}

# Runs a command so that it ends with us.
attend() {
    "$@" &
    child=$!
    local status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

# Runs what is in the job, as far as it is among these suites (those of v2, without), on a host of this kind, with this environment.
on_host() {
    local kind=$1 among=$2 status=0
    shift 2
    rm -rf "$job/tests"
    mkdir "$job/tests"
    for program in "$job"/programs/*; do
        case ${among:-v2}/${program##*/} in
        v2/systemd_v1) continue ;;
        v2/*) ;;
        *) [[ $among == *" ${program##*/} "* ]] || continue ;;
        esac
        ln "$program" "$job/tests/"
    done
    compgen -G "$job/tests/*" >/dev/null || return 0
    echo "==> booting the test host with $kind"
    echo "$kind" >"$job/kind"
    attend env "$@" PATIENCE="${PATIENCE:-5400}" "$here/boot.sh" "$cache" "$job" || status=$?
    rm -rf "$project/target/host/$kind"
    mkdir -p "$project/target/host"
    [[ ! -d $job/output ]] || cp -r "$job/output" "$project/target/host/$kind"
    rm -rf "$job/output"
    (( status != 125 )) || unavailable "the host with $kind does not boot here"
    return "$status"
}

job=$(mktemp -d)
child=
# A child in the background takes no notice of an interrupt.
trap '[[ -z $child ]] || { kill "$child"; wait "$child"; } 2>/dev/null; rm -rf "$job"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# The ordinary user of the host runs the binary too.
chmod 755 "$job"

[[ -x $runtime ]] || { echo "run.sh: RUNTIME=$runtime: no program" >&2; exit 2; }
[[ $(uname -m) == x86_64 ]] || unavailable "user-mode Linux is for x86_64"
"$here/../setup.sh" host || unavailable "its packages cannot be installed"
export -f build
export cache here
attend timeout "${BUILD_PATIENCE:-3600}" bash -euo pipefail -c build || unavailable "it cannot be built, or not in ${BUILD_PATIENCE:-3600} s"
furnish "$@"

# Whether a host is wanted that is chosen by VARIABLE=VALUE: where it is named, or none is.
chosen() {
    [[ ${!1:-} == "$2" || -z ${SECURITY:-}${CGROUPS:-} ]]
}

for choice in "${SECURITY:+SECURITY=$SECURITY}" "${CGROUPS:+CGROUPS=$CGROUPS}"; do
    case $choice in
    '' | SECURITY=apparmor | SECURITY=selinux | CGROUPS=hybrid | CGROUPS=v1) ;;
    *) echo "run.sh: $choice: no such host" >&2; exit 2 ;;
    esac
done
failed=0
! chosen SECURITY apparmor || on_host apparmor '' SECURITY=apparmor CGROUPS=v2 || failed=1
! chosen SECURITY selinux || on_host selinux "$labelled" SECURITY=selinux CGROUPS=v2 || failed=1
! chosen CGROUPS hybrid || on_host hybrid "$grouped" SECURITY=apparmor CGROUPS=hybrid || failed=1
! chosen CGROUPS v1 || on_host v1 "$grouped_alone" SECURITY=apparmor CGROUPS=v1 || failed=1
exit "$failed"
