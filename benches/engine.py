#!/usr/bin/env python3
"""`make bench-engine`: ocictl beside Debian's podman and skopeo, as far as they are installed, interleaved in one run.

    benches/engine.py [--rounds N] [--megabytes N]       OCICTL=bin/ocictl PODMAN=podman

What is measured: a cold pull, a pull when nothing changed, listing and removal of one image of six layers (gzip), made of this
machine's own /usr, from a docker-registry on loopback. skopeo copies it to an OCI layout, without
looking into the layers: a part of the work.

Interleaved means: in every round each program has one turn, in an order that rotates. CPU is user + system time of the program and
of all processes that it has waited for. The registry's is not in it. Ratios count; seconds are those of a loaded machine.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
OCICTL = os.environ.get("OCICTL", os.path.join(HERE, "..", "bin", "ocictl"))
PODMAN = os.environ.get("PODMAN", "podman")
SOURCES = ["/usr/bin", "/usr/sbin", "/usr/lib/python3", "/usr/lib/x86_64-linux-gnu", "/usr/share", "/usr/lib"]
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=300, help="of the image, uncompressed")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench-engine: needs root: layers are mounted and unpacked with their owners")
    if not shutil.which("docker-registry") or not shutil.which("skopeo"):
        sys.exit("bench-engine: docker-registry and skopeo are needed (integration/setup.sh test)")
    with tempfile.TemporaryDirectory(prefix="ocictl-bench.") as work:
        name, registry = prepare(work, options.megabytes)
        try:
            programs = [program for program in (Ocictl, Podman, Skopeo) if program.present()]
            report(measure([program(work, name) for program in programs], options.rounds))
        finally:
            registry.terminate()
            registry.wait()


def prepare(work, megabytes):
    """Makes the image and a registry that has it; its name there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = os.path.join(work, "registry.yml")
    with open(config, "w", encoding="utf-8") as out:
        out.write(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                  f"storage: {{filesystem: {{rootdirectory: {work}/registry}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n")
    registry = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("making an image of six layers…", flush=True)
    entries = layout(os.path.join(work, "layout"), megabytes)
    name = f"127.0.0.1:{port}/bench:1"
    for _ in range(100):
        if subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"oci:{work}/layout:bench",
                           f"docker://{name}"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            break
        time.sleep(0.1)
    else:
        registry.terminate()
        sys.exit("bench-engine: the image cannot be brought to the registry")
    print(f"image: {entries} entries\n", flush=True)
    return name, registry


def layout(directory, megabytes):
    """An OCI layout of six layers; how many entries they have."""
    os.makedirs(os.path.join(directory, "blobs", "sha256"))
    limit = megabytes * 1_000_000 // len(SOURCES)
    layers, diff_ids, entries, seen = [], [], 0, set()
    for source in SOURCES:
        tar, count = layer(source, limit, seen)
        entries += count
        diff_ids.append("sha256:" + hashlib.sha256(tar).hexdigest())
        layers.append(blob(directory, gzip.compress(tar, 6), "application/vnd.oci.image.layer.v1.tar+gzip"))
    config = {"architecture": ARCH, "os": "linux", "config": {"Cmd": ["/bin/sh"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = blob(directory, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = blob(directory, json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}).encode(), kind)
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "bench"}
    for file, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", {"schemaVersion": 2, "manifests": [manifest]})):
        with open(os.path.join(directory, file), "w", encoding="utf-8") as out:
            json.dump(value, out)
    return entries


def layer(source, limit, seen):
    """A tar of what is below a directory, up to a limit."""
    out, size, count = io.BytesIO(), 0, 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder, folders, files in os.walk(source):
            folders.sort()
            for file in sorted(files):
                path = os.path.join(folder, file)
                if path in seen or not os.path.lexists(path) or size > limit:
                    continue
                if os.path.isfile(path) or os.path.islink(path):
                    seen.add(path)
                    size += os.lstat(path).st_size
                    count += 1
                    tar.add(path, recursive=False)
    return out.getvalue(), count


def blob(directory, content, kind):
    digest = hashlib.sha256(content).hexdigest()
    with open(os.path.join(directory, "blobs", "sha256", digest), "wb") as out:
        out.write(content)
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(content)}


class Program:
    """What a program is called, and the words for each piece of work."""

    def __init__(self, work, name):
        self.name, self.home = name, os.path.join(work, type(self).__name__)
        os.makedirs(self.home)

    @classmethod
    def present(cls):
        return shutil.which(cls.program) is not None


class Ocictl(Program):
    program = OCICTL

    def work(self):
        base = [OCICTL, "--root", f"{self.home}/root", "--runroot", f"{self.home}/run"]
        pull = [*base, "pull", "-q", "--tls-verify=false", self.name]
        return {"cold pull": pull, "warm pull": pull, "images": [*base, "images"], "remove": [*base, "rmi", "-f", self.name]}


class Podman(Program):
    program = PODMAN

    def work(self):
        base = [PODMAN, "--root", f"{self.home}/root", "--runroot", f"{self.home}/run", "--storage-driver", "overlay"]
        pull = [*base, "pull", "-q", "--tls-verify=false", self.name]
        return {"cold pull": pull, "warm pull": pull, "images": [*base, "images"], "remove": [*base, "rmi", "-f", self.name]}


class Skopeo(Program):
    program = "skopeo"

    def work(self):
        target = f"{self.home}/layout"
        copy = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{self.name}", f"oci:{target}:x"]
        return {"cold pull": copy, "remove": ["rm", "-r", target]}


def measure(programs, rounds):
    """CPU and wall seconds and peak memory of each program and piece of work, a list an entry."""
    results = {}
    for turn in range(rounds):
        for program in programs[turn % len(programs):] + programs[:turn % len(programs)]:
            for kind, words in program.work().items():
                before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
                done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
                wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
                if done.returncode:
                    sys.exit(f"bench-engine: {' '.join(words)}: {done.stderr.decode()}")
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                results.setdefault(kind, {}).setdefault(type(program).__name__.lower(), []).append((cpu, wall))
        print(f"round {turn + 1} of {rounds}", flush=True)
    return results


def report(results):
    print(f"\n{'work':<12}{'program':<10}{'cpu min':>9}{'cpu med':>9}{'wall min':>10}{'cpu ratio of ocictl to it':>28}")
    for kind, programs in results.items():
        own = min(cpu for cpu, _ in programs["ocictl"])
        for name, values in programs.items():
            cpus, walls = [cpu for cpu, _ in values], [wall for _, wall in values]
            ratio = f"{own / max(min(cpus), 1e-4):.2f}" if name != "ocictl" else ""
            print(f"{kind:<12}{name:<10}{min(cpus):>9.3f}{statistics.median(cpus):>9.3f}{min(walls):>10.3f}{ratio:>28}")


if __name__ == "__main__":
    main()
