"""The programs that benches/engine.py compares: the words of each piece of work, and what must be prepared for them.

A piece of work that a program has no words for is left out for it.
"""

import os
import pathlib
import shutil

OCICTL = os.path.realpath(os.environ.get("OCICTL") or pathlib.Path(__file__).parents[1] / "bin/ocictl")
CORTEN = os.path.realpath(os.environ.get("RUNTIME_OF_OCICTL") or pathlib.Path(__file__).parents[1] / "bin/corten")
PODMAN = os.environ.get("PODMAN") or "podman"
DOCKER, DOCKERD = os.environ.get("DOCKER") or "docker", os.environ.get("DOCKERD") or "dockerd"
CTR, CONTAINERD = os.environ.get("CTR") or "ctr", os.environ.get("CONTAINERD") or "containerd"
# Ends when it is asked to; does not; prints a hundred lines first.
POLITE = ["sh", "-c", "seq 100; trap 'exit 0' TERM; sleep 1000 & wait"]
DEAF = ["sh", "-c", "trap '' TERM; sleep 1000"]


class Engine:
    """ocictl, podman and docker: they understand the same words."""

    image, base, network = "localhost/busybox:1", [], ["--network=none"]

    def __init__(self, bench):
        self.bench, self.name, self.daemons = bench, type(self).__name__.lower(), []

    def present(self):
        return shutil.which(self.base[0]) is not None

    def start(self):
        """What it needs before anything else."""

    def load(self, archive):
        self.bench.ok(*self.base, "load", "-q", "-i", archive)

    def words(self, kind, name=""):
        remote, run = self.bench.image, [*self.base, "run", *self.network]
        return {
            "cold pull": [*self.base, "pull", "-q", *self.plain, remote], "warm pull": [*self.base, "pull", "-q", *self.plain, remote],
            "remove": [*self.base, "rmi", "-f", remote], "prune": [*self.base, "image", "prune", "-f"],
            "run --rm": [*run, "--rm", self.image, "true"],
            "run -d": [*run, "-d", "--name", name, self.image, *POLITE],
            "run -d deaf": [*run, "-d", "--name", name, self.image, *DEAF],
            "exec": [*self.base, "exec", name, "true"],
            "stop": [*self.base, "stop", name],
            "rm -f": [*self.base, "rm", "-f", name],
            "ps": [*self.base, "ps"], "ps -a": [*self.base, "ps", "-a"],
            "inspect": [*self.base, "inspect", name], "logs": [*self.base, "logs", name],
            "images": [*self.base, "images"],
            "create": [*self.base, "create", *self.network, "--name", name, self.image, "true"],
        }.get(kind)

    plain = ["--tls-verify=false"]

    def monitor(self, name):
        """The pid of what looks after a container."""
        return int(self.bench.ok(*self.base, "inspect", "--format", "{{.State.ConmonPid}}", name))

    def forget(self):
        """Removes all containers, not measured."""
        names = self.bench.ok(*self.base, "ps", "-aq").split()
        for some in [names[at:at + 100] for at in range(0, len(names), 100)]:
            self.bench.ok(*self.base, "rm", "-f", *self.at_once, *some)

    at_once = []


class Ocictl(Engine):
    base = [OCICTL, "--root", "/srv/ocictl", "--runroot", "/run/ocictl"]

    def start(self):
        os.environ["OCICTL_RUNTIME"] = CORTEN


class Podman(Engine):
    base, at_once = [PODMAN], ["-t", "0"]

    def start(self):
        folder = pathlib.Path("/etc/containers")
        folder.mkdir(exist_ok=True)
        (folder / "storage.conf").write_text('[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\n'
                                             'graphroot = "/var/lib/containers/storage"\n')
        (folder / "containers.conf").write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n')
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')


class Docker(Engine):
    base, plain, image = [DOCKER], [], "localhost/busybox:1"

    def present(self):
        return super().present() and shutil.which(DOCKERD) is not None

    def start(self):
        pathlib.Path("/etc/docker").mkdir(exist_ok=True)
        pathlib.Path("/etc/docker/daemon.json").write_text("{}")
        # The graph driver that Debian's users have: overlay2, on the disk.
        self.daemons = [self.bench.daemon("dockerd", DOCKERD, ready=[DOCKER, "info"])]

    def monitor(self, name):
        pid = int(self.bench.ok(*self.base, "inspect", "--format", "{{.State.Pid}}", name))
        return parent(pid)


class Containerd(Engine):
    """containerd by its own client; it has no logs and no stop."""

    base, image = [CTR], "localhost/busybox:1"

    def present(self):
        return super().present() and shutil.which(CONTAINERD) is not None

    def start(self):
        os.makedirs("/etc/containerd", exist_ok=True)
        pathlib.Path("/etc/containerd/config.toml").write_text(
            'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs"]\n')
        self.daemons = [self.bench.daemon("containerd", CONTAINERD, ready=[CTR, "version"])]
        self.turn = 0

    def load(self, archive):
        self.bench.ok(CTR, "image", "import", archive)

    def words(self, kind, name=""):
        remote = self.bench.image
        self.turn += 1
        return {
            "cold pull": [CTR, "image", "pull", "--plain-http", remote], "warm pull": [CTR, "image", "pull", "--plain-http", remote],
            "remove": [CTR, "image", "rm", "--sync", remote],
            "run --rm": [CTR, "run", "--rm", self.image, f"turn{self.turn}", "true"],
            "run -d": [CTR, "run", "-d", self.image, name, *POLITE],
            "exec": [CTR, "task", "exec", "--exec-id", f"exec{self.turn}", name, "true"],
            "ps": [CTR, "task", "ls"], "inspect": [CTR, "container", "info", name], "images": [CTR, "image", "ls"],
        }.get(kind)

    def monitor(self, name):
        lines = self.bench.ok(CTR, "task", "ls").splitlines()
        return parent(next(int(line.split()[1]) for line in lines if line.split()[0] == name))

    def forget(self):
        for name in self.bench.ok(CTR, "container", "ls", "-q").split():
            self.bench.run(CTR, "task", "rm", "-f", name)
            self.bench.ok(CTR, "container", "rm", name)


class Skopeo(Engine):
    """Copies to a layout and looks into no layer: a part of a pull."""

    base = ["skopeo"]

    def load(self, archive):
        pass

    def words(self, kind, name=""):
        target = "/srv/skopeo"
        copy = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{self.bench.image}", f"oci:{target}:x"]
        return {"cold pull": copy, "remove": ["rm", "-r", target]}.get(kind)

    def forget(self):
        pass


class Umoci(Skopeo):
    """Unpacks what skopeo has copied once, which is not measured: the other part of a pull."""

    base = ["umoci"]

    def words(self, kind, name=""):
        if not os.path.isdir("/srv/for-umoci"):
            self.bench.ok("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{self.bench.image}",
                          "oci:/srv/for-umoci:x")
        unpack = ["umoci", "unpack", "--image", "/srv/for-umoci:x", "/srv/umoci"]
        return {"cold pull": unpack, "remove": ["rm", "-r", "/srv/umoci"]}.get(kind)


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


ALL = [Ocictl, Podman, Docker, Containerd, Skopeo, Umoci]
