#!/bin/bash
# Installs what `make build manual` has built below a scratch root and removes it, by make and as a Debian package: what must
# be there is there and runs, and after the removal nothing is left.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { echo "package.sh: $*" >&2; exit 1; }
runs() { "$1" --version | grep -q '^corten version ' || fail "$1 --version does not tell its version"; }

echo "==> make install and uninstall below a scratch root"
root=$scratch/make
make --no-print-directory install-files DESTDIR="$root" PREFIX=/opt/corten >/dev/null
for file in bin/corten bin/ocictl share/man/man8/corten.8 share/man/man8/corten-create.8 share/corten/containers.conf \
    share/bash-completion/completions/corten share/zsh/site-functions/_corten share/fish/vendor_completions.d/corten.fish \
    share/man/man1/ocictl.1 share/man/man1/ocictl-run.1 share/man/man1/ocictl-container-run.1 share/bash-completion/completions/ocictl \
    share/zsh/site-functions/_ocictl share/fish/vendor_completions.d/ocictl.fish; do
    [[ -s $root/opt/corten/$file ]] || fail "make install: $file is not there"
done
runs "$root/opt/corten/bin/corten"
! grep -rq /usr/local "$root/opt/corten/share/corten" || fail "a configuration of a client names another place"
# What others have there stays.
echo own >"$root/opt/corten/share/man/man8/other.8"
make --no-print-directory uninstall DESTDIR="$root" PREFIX=/opt/corten >/dev/null
left=$(cd "$root" && find . -type f)
[[ $left == ./opt/corten/share/man/man8/other.8 ]] || fail "make uninstall leaves: $left"

if ! command -v dpkg-deb >/dev/null; then
    echo "note: no dpkg-deb here, so no Debian package is tried"
    exit 0
fi
echo "==> make deb, dpkg --install and --purge below a scratch root"
package=$(integration/deb.sh "$scratch/first")
again=$(integration/deb.sh "$scratch/second")
cmp -s "$package" "$again" || fail "the same sources make two different packages"
dpkg-deb --field "$package" | grep -q '^Package: corten$' || fail "the package has another name"
dpkg-deb --ctrl-tarfile "$package" | tar -xO ./conffiles | grep -qx /etc/containers/containers.conf.d/corten.conf ||
    fail "its configuration is no conffile"
if command -v lintian >/dev/null; then
    lintian --fail-on error,warning --tag-display-limit 0 "$package" || fail "lintian finds faults"
else
    echo "note: no lintian here"
fi

root=$scratch/deb
mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers}
: >"$root/var/lib/dpkg/status"
dpkg --root="$root" --log=/dev/null --force-not-root --force-bad-path --install "$package" >/dev/null 2>"$scratch/said" ||
    fail "$(<"$scratch/said")"
runs "$root/usr/bin/corten"
(( EUID != 0 )) || [[ $(chroot "$root" /usr/bin/corten --version) == "corten version "* ]] || fail "it does not run there"
(cd "$root" && md5sum --quiet --check var/lib/dpkg/info/corten.md5sums) || fail "files are not what md5sums says"
[[ -s $root/usr/share/man/man8/corten-exec.8.gz ]] || fail "there are no man pages"
if command -v man >/dev/null; then
    # A short form's page leads to that of its verb.
    man -M "$root/usr/share/man" 1 ocictl-run 2>/dev/null | grep -q 'ocictl container run' || fail "ocictl-run(1) leads nowhere"
fi
dpkg --root="$root" --log=/dev/null --force-not-root --force-bad-path --purge corten >/dev/null 2>"$scratch/said" ||
    fail "$(<"$scratch/said")"
left=$(cd "$root" && find . -not -path './var*' -not -path . )
[[ -z $left ]] || fail "dpkg --purge leaves: $left"
