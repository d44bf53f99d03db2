"""What benches/engine.py pulls: an image of six layers (gzip) at a docker-registry on loopback, Debian with Python or this machine's own
/usr; and archives of many small images."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import time

SOURCES = ["/usr/bin", "/usr/sbin", "/usr/lib/python3", "/usr/lib/x86_64-linux-gnu", "/usr/share", "/usr/lib"]
# The same tar that ocictl/tests/real_images.rs makes its image of.
DEBIAN = pathlib.Path(__file__).resolve().parents[1] / "target/engine-test/debian.tar"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def make_debian():
    """A fresh Debian with Python, made once, in the network that this is called in."""
    if DEBIAN.exists():
        return
    print("# making a Debian with Python (some minutes, once)…", flush=True)
    DEBIAN.parent.mkdir(parents=True, exist_ok=True)
    aside = DEBIAN.with_name(f"debian.{os.getpid()}.tar")
    subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=python3", "--dpkgopt=force-unsafe-io",
                    "bookworm", str(aside)], check=True, stdin=subprocess.DEVNULL)
    aside.rename(DEBIAN)


def publish(work, address, layers):
    """Makes the image of these layers, each a tar and how many entries it has, and brings it to the registry; its name there, how many
    entries its layers have, and their bytes before and after gzip."""
    entries, plain, packed = layout(os.path.join(work, "layout"), layers)
    name = f"{address}/bench:1"
    for _ in range(100):
        if subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"oci:{work}/layout:bench",
                           f"docker://{name}"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            shutil.rmtree(os.path.join(work, "layout"))
            return name, f"{entries} entries, {plain / 1e6:.0f} MB, {packed / 1e6:.0f} MB by gzip"
        time.sleep(0.1)
    raise SystemExit("bench-engine: the image cannot be brought to the registry")


def debian_layers():
    """Debian in six parts, as an image that was built step by step has them."""
    parts = [io.BytesIO() for _ in range(6)]
    tars = [tarfile.open(fileobj=part, mode="w", format=tarfile.PAX_FORMAT) for part in parts]
    counts = [0] * len(parts)
    with tarfile.open(DEBIAN) as whole:
        for entry in whole:
            path = entry.name.removeprefix("./")
            number = (2 if path.startswith("usr/lib/python3") else 1 if path.startswith("usr/lib/") else
                      3 if path.startswith("usr/share/") else 4 if path.startswith(("usr/bin/", "usr/sbin/")) else
                      5 if path.startswith("var/") else 0)
            if path.startswith("dev/"):
                continue
            tars[number].addfile(entry, whole.extractfile(entry) if entry.isreg() else None)
            counts[number] += 1
    for tar, part, count in zip(tars, parts, counts):
        tar.close()
        yield part.getvalue(), count


def own_layers(megabytes):
    """This machine's own /usr: fewer and larger files."""
    seen = set()
    for source in SOURCES:
        yield layer(source, megabytes * 1_000_000 // len(SOURCES), seen)


def layout(directory, tars):
    """An OCI layout of these layers; how many entries they have, and their bytes before and after gzip."""
    os.makedirs(os.path.join(directory, "blobs", "sha256"))
    layers, diff_ids, entries, plain = [], [], 0, 0
    for tar, count in tars:
        entries += count
        plain += len(tar)
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
    return entries, plain, sum(layer["size"] for layer in layers)


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


def many(path, count):
    """An archive as `docker save` writes it, of so many images of one small layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, "file", b"content")
    content = out.getvalue()
    diff_id = "sha256:" + hashlib.sha256(content).hexdigest()
    with tarfile.open(path, "w") as tar:
        add(tar, "layer.tar", content)
        manifest = []
        for number in range(count):
            config = json.dumps({"architecture": ARCH, "os": "linux", "created": "2026-11-01T00:00:00Z",
                                 "config": {"Cmd": ["/x"], "Labels": {"number": str(number)}},
                                 "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "history": [{"created": "2026-11-01T00:00:00Z"}]}).encode()
            name = hashlib.sha256(config).hexdigest() + ".json"
            add(tar, name, config)
            manifest.append({"Config": name, "RepoTags": [f"localhost/many/image{number}:1"], "Layers": ["layer.tar"]})
        add(tar, "manifest.json", json.dumps(manifest).encode())


def add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
