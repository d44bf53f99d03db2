#!/bin/bash
# Builds the test host's kernel: user-mode Linux from Debian's linux-source, with all that a container runtime asks of it.
#
#   integration/host/kernel.sh CACHE      writes CACHE/linux.uml (some minutes), and beside it the kernel.config it was built with
#
# An ordinary process that needs neither root nor KVM. SMP takes Linux 6.19 and the quick way into the kernel (seccomp=on)
# 6.16, so the source is that of the backports. Environment: SUITE (trixie-backports), MIRROR (default: apt's own), JOBS.
# Needs gcc make flex bison bc xz-utils.
set -euo pipefail
cache=$(realpath -m "${1:?usage: kernel.sh CACHE}")
suite=${SUITE:-trixie-backports}
options=$(dirname "$(realpath "$0")")/kernel.config
mkdir -p "$cache"
work=$(mktemp -d -p "$cache")
trap 'rm -rf "$work"' EXIT

# apt in folders of its own: this machine's sources and lists stay as they are.
mirror=${MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | head -n 1)}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work"/lists/partial "$work"/archives/partial
echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} $suite main" >"$work/sources.list"
apt=(-qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists"
    -o "Dir::Cache=$work" -o Dir::State::Status=/dev/null -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update
package=$(apt-cache "${apt[@]}" depends linux-source | sed -n 's/.*Depends: \(linux-source-.*\)/\1/p' | head -n 1)
(cd "$work" && apt-get "${apt[@]}" download "$package")
dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x --to-stdout "./usr/src/$package.tar.xz" | tar -xJ -C "$work"

build=(make --silent -C "$work/$package" ARCH=um O="$work/build")
"${build[@]}" KCONFIG_ALLCONFIG="$options" allnoconfig >/dev/null
# An option that the kernel does not know any more, or that lacks another one, is dropped without a word.
missing=$(grep -vxFf "$work/build/.config" "$options" | grep '=y$' || true)
[[ -z $missing ]] || printf 'kernel.sh: not taken: %s\n' $missing >&2
if ! "${build[@]}" -j"${JOBS:-$(nproc)}" linux >"$cache/kernel.log" 2>&1; then
    tail -n 30 "$cache/kernel.log" >&2
    exit 1
fi
strip -o "$cache/linux.uml.new" "$work/build/linux"
mv "$cache/linux.uml.new" "$cache/linux.uml"
cp "$options" "$cache/kernel.config"
