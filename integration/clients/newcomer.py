#!/usr/bin/python3
"""A newcomer registers corten with podman and with containerd: a fresh Debian, and README's words alone.

    integration/clients/newcomer.py      as root; the Debian is built once into NEWCOMER_CACHE (~/.cache/corten-newcomer)

In it stand Debian's podman and containerd as they come, and what `make install` puts there. The commands that are run are
those of README's section "Register it", found by their first words; only image and id are filled in.
"""

import os
import pathlib
import re
import subprocess

from stage import ROOT, expect, expect_match, image_archive, play, sh, step

CACHE = pathlib.Path(os.environ.get("NEWCOMER_CACHE") or pathlib.Path.home() / ".cache/corten-newcomer")
PACKAGES = "podman,conmon,containerd,runc,crun,busybox-static,procps,iproute2"
TREE = CACHE / "tree.tar"
HERE = "/srv/newcomer"


def prepare():
    """Outside, once: the Debian."""
    if not TREE.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        print("# building a fresh Debian (some minutes, once)", flush=True)
        new = CACHE / "new.tar"
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(new)], check=True,
                       stdin=subprocess.DEVNULL)
        new.rename(TREE)


def registration():
    """README's section: its commands by their first words."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## Register it", 1)[1].split("\n## ", 1)[0]
    return [line.strip() for line in section.splitlines() if re.match(r"    (install|cat) ", line)], section


def there(s, *words, **more):
    """A command in the fresh Debian."""
    return s.run("chroot", HERE, "/usr/bin/env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                 *words, **more)


@step("a fresh Debian with podman and containerd, and make install")
def fresh(s):
    os.makedirs(HERE)
    # A mount point, as the root of any container is.
    sh(f"mount --bind {HERE} {HERE}; tar -C {HERE} -xf {TREE}; mount --rbind /dev {HERE}/dev; mount --rbind /sys {HERE}/sys; mount -t proc proc {HERE}/proc; "
       f"mount -t tmpfs -o mode=755 run {HERE}/run; mkdir {HERE}/run/lock; cp /etc/resolv.conf {HERE}/etc/ 2>/dev/null || true")
    # What `make install` does, without its build: there is no network in here.
    sh(f"install -D -m 755 {s.runtime} {HERE}/usr/local/bin/{s.name}; install -d {HERE}/usr/local/share/corten; "
       f"cp {ROOT}/contrib/*.* {ROOT}/contrib/systemd/* {HERE}/usr/local/share/corten/")
    expect_match("corten version", there(s, "corten", "--version").out, "its version")
    expect_match("(?i)crun|runc", there(s, "podman", "info", "--format", "{{.Host.OCIRuntime.Name}}").out, "podman's runtime before")


@step("podman by README: the file, then a container without another word")
def podman(s):
    commands, _ = registration()
    command = next(line for line in commands if "containers.conf" in line)
    there(s, "sh", "-ec", command)
    expect(there(s, "podman", "info", "--format", "{{.Host.OCIRuntime.Name}}").out, "corten", "podman's runtime")
    image_archive(f"{HERE}/tmp/image.tar", "localhost/busybox:1")
    there(s, "podman", "load", "-i", "/tmp/image.tar")
    expect(there(s, "podman", "run", "--rm", "--network=none", "localhost/busybox:1", "echo", "hello").out, "hello", "output")
    failed = there(s, "podman", "run", "--rm", "--network=none", "localhost/busybox:1", "nosuch", code=127)
    expect_match("corten: ", failed.err, "whose message it is")


@step("containerd by README: the lines, then a handler of the CRI plugin and ctr run")
def containerd(s):
    commands, section = registration()
    command = next(line for line in commands if "containerd-1.toml" in line)
    there(s, "sh", "-ec", command)
    s.daemon("containerd", "chroot", HERE, "containerd", ready=lambda: there(s, "ctr", "version", code=None).code == 0)
    plugins = there(s, "ctr", "plugins", "ls").out
    expect_match(r"io\.containerd\.grpc\.v1\s+cri\s+\S+\s+ok", plugins, "the CRI plugin")
    expect_match('BinaryName = "/usr/local/bin/corten"', there(s, "containerd", "config", "dump").out, "its configuration")
    image_archive(f"{HERE}/tmp/image.tar", "docker.io/library/busybox:1")
    there(s, "ctr", "image", "import", "/tmp/image.tar")
    words = re.search(r"`(ctr run [^`]*)`", section)[1].replace("IMAGE", "docker.io/library/busybox:1").replace("ID", "web1")
    expect(there(s, "sh", "-ec", words.replace("ctr run", "ctr run --rm") + " echo hello").out, "hello", "output")


if __name__ == "__main__":
    if not os.environ.get("STAGE"):
        prepare()
    play(__file__)
