#!/bin/bash
# Builds the test host's disk: Debian with systemd as pid 1, cgroup v2 only, AppArmor and SELinux (the kernel's command line
# takes one of them), and an ordinary user whose user manager runs and is given every controller.
#
#   integration/host/image.sh CACHE      writes CACHE/disk.ext4 (sparse), once; remove it to build it anew
#
# As root, with mmdebstrap and e2fsprogs. Environment: SUITE (trixie), MIRROR (default: apt's own).
set -euo pipefail
cache=$(realpath -m "${1:?usage: image.sh CACHE}")
suite=${SUITE:-trixie}
here=$(dirname "$(realpath "$0")")

# A mount namespace of our own: the tree is built on a tmpfs, which nobody else sees and which goes with this process.
if [[ -z ${IN_OWN_NAMESPACE:-} ]]; then
    IN_OWN_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$@"
fi

packages=(
    systemd systemd-sysv libpam-systemd dbus dbus-user-session udev kmod apparmor
    busybox-static crun runc uidmap passwd login
    selinux-policy-default policycoreutils
    jq procps python3 strace util-linux iproute2 attr acl libcap2-bin libseccomp2
)
# What would only make the boot longer, or ask for a terminal.
needless=(
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    getty.target getty@tty1.service getty-static.service serial-getty@ttyS0.service console-getty.service
    ldconfig.service systemd-hwdb-update.service systemd-boot-random-seed.service systemd-machine-id-commit.service
    systemd-timesyncd.service systemd-update-utmp.service
)

origin() {
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | head -n 1
}

# Runs as the last hook of mmdebstrap, with the tree as its argument.
customise() {
    local tree=$1
    cp -a "$here/guest/." "$tree/"
    chown -R 0:0 "$tree/usr/local/sbin"
    echo corten-host >"$tree/etc/hostname"
    echo 127.0.0.1 localhost corten-host >"$tree/etc/hosts"
    # A fixed id: without one, systemd takes each boot for the first and does first-boot work.
    echo c0ffee00c0ffee00c0ffee00c0ffee00 >"$tree/etc/machine-id"
    touch "$tree/etc/.updated" "$tree/var/.updated"
    chroot "$tree" useradd --create-home --uid 1000 --shell /bin/bash user
    grep -q ^user: "$tree/etc/subuid" || echo user:100000:65536 >>"$tree/etc/subuid"
    grep -q ^user: "$tree/etc/subgid" || echo user:100000:65536 >>"$tree/etc/subgid"
    chroot "$tree" systemctl --quiet mask "${needless[@]}"
    chroot "$tree" systemctl --quiet enable corten-job.service
    # Of the profiles only those of runtimes: the many for desktop programs take seconds to load.
    find "$tree/etc/apparmor.d" -maxdepth 1 -type f ! -name runc ! -name crun ! -name unprivileged_userns -delete
    # Labelled here, so that no boot has to; permissive, so that the host needs no policy of its own for the job.
    echo "SELINUX=permissive" >"$tree/etc/selinux/config"
    echo "SELINUXTYPE=default" >>"$tree/etc/selinux/config"
    chroot "$tree" setfiles -F /etc/selinux/default/contexts/files/file_contexts /
}

if [[ ${CUSTOMISE:-} ]]; then
    customise "$CUSTOMISE"
    exit
fi

mkdir -p "$cache"
tree=$cache/tree
mkdir -p "$tree"
mount -t tmpfs -o size=4G,mode=755 tmpfs "$tree"
mirror=${MIRROR:-$(origin)}
if ! INITRD=No mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='force-unsafe-io' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="${packages[*]}" --customize-hook="CUSTOMISE=\"\$1\" \"$(realpath "$0")\" \"$cache\"" \
    "$suite" "$tree" "deb ${mirror:-http://deb.debian.org/debian} $suite main" >"$cache/image.log" 2>&1
then
    tail -n 30 "$cache/image.log" >&2
    exit 1
fi
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*
rm -f "$cache/disk.ext4.new"
truncate -s 3G "$cache/disk.ext4.new"
mkfs.ext4 -q -L root -O ^has_journal -E lazy_itable_init=1 -d "$tree" "$cache/disk.ext4.new"
mv "$cache/disk.ext4.new" "$cache/disk.ext4"
umount "$tree"
rmdir "$tree"
