#!/bin/bash
# Installs what a purpose needs and this machine lacks; says nothing when all is there.
#
#   integration/setup.sh PURPOSE...      build | test | demo | check | package | bench | bench-engine | host | clients | engine | newcomer |
#                                       conformance | runtime-tools
#
# Debian packages come by apt-get with --no-remove, the Rust target and tools by rustup.
set -euo pipefail

packages_of() {
    case $1 in
        build) echo gcc libc6-dev musl-tools ;;
        test)  echo gcc libc6-dev pkg-config libseccomp-dev busybox-static strace jq python3 procps uidmap iproute2 iptables tar attr libcap2-bin crun runc docker-registry skopeo openssl libarchive-tools ;;
        engine) echo mmdebstrap podman crun conmon containernetworking-plugins ;;
        demo)  echo busybox-static jq ;;
        check) echo gcc libc6-dev pkg-config libseccomp-dev python3 ;;
        package) echo binutils dpkg-dev lintian man-db groff-base ;;
        bench) echo busybox-static jq python3 strace crun runc hyperfine ;;
        bench-engine) echo mmdebstrap e2fsprogs podman crun conmon docker.io containerd skopeo umoci docker-registry busybox-static python3 iproute2 iptables util-linux ;;
        conformance) echo iproute2 ;;
        runtime-tools) echo python3 python3-venv iproute2 git ;;
        host)  echo mmdebstrap e2fsprogs gcc make flex bison bc xz-utils ;;
        clients) echo podman conmon netavark slirp4netns fuse-overlayfs containernetworking-plugins iptables uidmap buildah \
            containerd docker.io docker-compose docker-registry python3-grpcio python3-protobuf protobuf-compiler \
            crun runc busybox-static iproute2 util-linux ;;
        newcomer) echo mmdebstrap util-linux ;;
        *)     echo "setup.sh: unknown purpose \"$1\"" >&2; exit 1 ;;
    esac
}

installed() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# A command of another origin (say, python3 built by hand) is as good as the package.
present() {
    case $1 in
        gcc | jq | strace | crun | runc | hyperfine | python3 | pkg-config) command -v "$1" >/dev/null || installed "$1" ;;
        procps) command -v ps >/dev/null ;;
        *) installed "$1" ;;
    esac
}

# No package starts a daemon: invoke-rc.d asks this file, which goes with us. One that is there already is left alone.
forbid_services() {
    local policy=/usr/sbin/policy-rc.d
    [[ ! -e $policy ]] || return 0
    # shellcheck disable=SC2064 # its words are those of now
    trap "$* rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' | "$@" tee "$policy" >/dev/null
    "$@" chmod 755 "$policy"
}

install_packages() {
    local missing=() package
    for package in "$@"; do
        present "$package" || missing+=("$package")
    done
    (( ${#missing[@]} )) || return 0
    echo "==> installing ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "setup.sh: no apt-get here; install the like of these by hand: ${missing[*]}" >&2
        exit 1
    fi
    local as_root=()
    (( EUID == 0 )) || as_root=(sudo)
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq </dev/null
    forbid_services "${as_root[@]}"
    "${as_root[@]}" apt-get install -y -qq --no-remove --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

# The standard library of the static target: there if rustc can name its folder and it holds something.
install_target() {
    local target
    target=$(uname -m)-unknown-linux-musl
    compgen -G "$(rustc --print sysroot)/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null && return 0
    echo "==> rustup target add $target"
    rustup --quiet target add "$target"
}

install_lints() {
    cargo fmt --version >/dev/null 2>&1 || { echo "==> rustup component add rustfmt"; rustup --quiet component add rustfmt; }
    cargo clippy --version >/dev/null 2>&1 || { echo "==> rustup component add clippy"; rustup --quiet component add clippy; }
}

if ! command -v cargo >/dev/null; then
    echo "setup.sh: cargo is not in PATH; install a Rust toolchain (rustup) first" >&2
    exit 1
fi

(( $# )) || set -- build test bench
wanted=()
for purpose in "$@"; do
    list=$(packages_of "$purpose")
    read -ra more <<<"$list"
    wanted+=("${more[@]}")
done
mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)
install_packages "${wanted[@]}"
for purpose in "$@"; do
    case $purpose in
        build) install_target ;;
        test) "$(dirname "$0")/criu.sh" >/dev/null ;;
        check) install_lints ;;
    esac
done
