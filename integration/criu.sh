#!/bin/bash
# Prints the path of a CRIU that runs on this kernel, for the tests of checkpoint and restore; nothing where there is none.
#
#   integration/criu.sh
#
# That of Debian 12 (3.17) does not start on new kernels, and TCP connections need 4.2 from Linux 6.16 on. So where what is
# installed is too old, a newer Debian's is unpacked, with its libraries, into a folder of its own, once: nothing is installed
# and no source of packages is added. Environment: CORTEN_CRIU (/var/cache/corten-criu), SUITE (forky).
set -euo pipefail
cache=${CORTEN_CRIU:-/var/cache/corten-criu}
suite=${SUITE:-forky}
key=/usr/share/keyrings/debian-archive-keyring.gpg

fits() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/^Version: \([0-9]*\.[0-9]*\).*/\1/p')
    [[ -n $version && $(printf '4.2\n%s\n' "$version" | sort -V | head -n 1) == 4.2 ]] && "$1" check >/dev/null 2>&1
}

for candidate in "$(command -v criu || true)" "$cache/criu"; do
    if [[ -x $candidate ]] && fits "$candidate"; then
        echo "$candidate"
        exit
    fi
done
[[ $EUID == 0 && -e $key && $(uname -m) == x86_64 ]] && command -v apt-get dpkg-deb >/dev/null || exit 0

new=$cache.new.$$
trap 'rm -rf "$new"' EXIT
mkdir -p "$new"/apt/{lists/partial,cache/archives/partial,preferences}
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | head -n 1)
echo "deb [signed-by=$key] ${mirror:-http://deb.debian.org/debian} $suite main" >"$new/apt/sources"
: >"$new/apt/status"
cat >"$new/apt/conf" <<CONF
Dir::State "$new/apt";
Dir::State::lists "$new/apt/lists";
Dir::State::status "$new/apt/status";
Dir::Cache "$new/apt/cache";
Dir::Etc::sourcelist "$new/apt/sources";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "$new/apt/preferences";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
CONF
export APT_CONFIG=$new/apt/conf
if ! { apt-get update && apt-get install -y --download-only criu; } </dev/null >"$new/log" 2>&1; then
    echo "criu.sh: no criu of $suite to be had: $(tail -n 1 "$new/log")" >&2
    exit 0
fi
mkdir "$new/tree"
for package in "$new"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$new/tree"
done
rm -rf "$new/apt"
# By the loader of its own libc: it need not be older than the machine's.
cat >"$new/criu" <<RUN
#!/bin/sh
libraries=$cache/tree/usr/lib/x86_64-linux-gnu
exec \$libraries/ld-linux-x86-64.so.2 --library-path \$libraries $cache/tree/usr/sbin/criu "\$@"
RUN
chmod 755 "$new/criu"
rm -rf "$cache"
mv "$new" "$cache"
if fits "$cache/criu"; then
    echo "$cache/criu"
else
    echo "criu.sh: criu of $suite does not run here: $("$cache/criu" check 2>&1 | tail -n 1)" >&2
fi
