#!/bin/bash
# Makes a Debian package of what `make build manual` has built, and prints its name.
#
#   integration/deb.sh DIRECTORY      the directory that gets corten_VERSION_ARCHITECTURE.deb
#
# The same sources make the same package: times are those of the last commit, owners are root. Its maintainer is DEBFULLNAME <DEBEMAIL>.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "$1")
mkdir -p "$target"

architecture=$(dpkg --print-architecture)
release=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
version=$release-1
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

# Who makes the package answers for it: Debian's own variables, or else whoever made the last commit.
name=${DEBFULLNAME:-$(git log -1 --format=%an 2>/dev/null || true)}
email=${DEBEMAIL:-$(git log -1 --format=%ae 2>/dev/null || true)}
[[ -n $name && $email == ?*@?* ]] || { echo "deb.sh: set DEBFULLNAME and DEBEMAIL: no commit tells a maintainer" >&2; exit 2; }
maintainer="$name <$email>"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"
umask 022
make --no-print-directory install-files DESTDIR="$tree" PREFIX=/usr ZSHDIR=/usr/share/zsh/vendor-completions >/dev/null

# The linker keeps the symbols of assembly.
strip --strip-all "$tree"/usr/bin/*

doc=$tree/usr/share/doc/corten
install -d "$doc" "$tree/usr/share/lintian/overrides" "$tree/etc/containers/containers.conf.d" "$tree/DEBIAN"
mv "$tree/usr/share/corten" "$doc/examples"
install -m 0644 integration/deb/containers.conf "$tree/etc/containers/containers.conf.d/corten.conf"
install -m 0644 integration/deb/lintian-overrides "$tree/usr/share/lintian/overrides/corten"
install -m 0644 README.md "$doc/README.md"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"

{
    echo "corten ($version) unstable; urgency=medium"
    echo
    echo "  * Release $release: see changelog.gz."
    echo
    echo " -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.Debian.gz"

{
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo "Upstream-Name: corten"
    echo "Comment: The binaries are static and hold these crates, each under one of the"
    echo " licences that it names:"
    for program in corten ocictl; do
        cargo tree --locked --quiet --edges normal --prefix none --package $program --format '{p} ({l})'
    done | sed -E 's/ \((\/|proc-macro).*\) \(/ (/; s/ \(\*\)$//' | grep -v '^corten \|^ocictl ' | sort -u | sed 's/^/  /'
    echo
    echo "Files: *"
    echo "Copyright: $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y) the corten authors"
    echo "License: Apache-2.0"
    echo
    echo "License: Apache-2.0"
    echo " On Debian systems, the complete text of the Apache License version 2.0 can be"
    echo " found in \"/usr/share/common-licenses/Apache-2.0\"."
} >"$doc/copyright"

gzip -9n "$tree"/usr/share/man/man[18]/*.[18]
(cd "$tree" && find etc -type f -printf '/%p\n' | sort >DEBIAN/conffiles)
(cd "$tree" && find usr -type f -printf '%P\0' | sort -z | sed -z 's|^|usr/|' | xargs -0 md5sum >DEBIAN/md5sums)
size=$(du -k -s --apparent-size "$tree" | cut -f1)
control=$(<integration/deb/control)
control=${control//@VERSION@/$version}
control=${control//@ARCHITECTURE@/$architecture}
control=${control//@SIZE@/$size}
printf '%s\n' "${control//@MAINTAINER@/"$maintainer"}" >"$tree/DEBIAN/control"
find "$tree" -print0 | xargs -0 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$target" >/dev/null
echo "$target/corten_${version}_$architecture.deb"
