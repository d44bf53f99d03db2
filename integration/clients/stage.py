"""The stage on which the scripts beside this one let a real client play: a scenario's steps in namespaces of their own.

A script defines its steps with `@step` and calls `play(__file__)`. That makes, as root:

- mount, network (loopback alone), process, IPC, host name and cgroup namespaces. In them /etc, /usr/local, /opt, /root,
  /home and what clients keep below /var are the machine's, but changes to them go into the working directory; /run
  and /tmp are empty. The cgroup trees are a subtree of this machine's, seen as if it were all;
- the runtime to be tested, RUNTIME (bin/corten unless told otherwise), as /usr/local/bin/NAME.

The outer process waits, and takes all away when the inner one has ended, however that came: processes with their
namespace, mounts with theirs, the cgroups, the working directory. What then is still there fails the scenario.

The output is TAP version 13, the reasons of failures in comments.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
CGROUPS = pathlib.Path("/sys/fs/cgroup")
SIGN = "corten-clients-"
# In the namespaces: what is the machine's, with changes of our own over it.
OVERLAID = ["/etc", "/usr/local", "/opt", "/root", "/home", "/var/lib", "/var/log", "/var/cache"]
# Directories of other installations of the same clients, which ours must not see.
FOREIGN = ["/etc/containers/containers.conf.d", "/etc/cni", "/etc/containerd", "/etc/docker", "/etc/crio", "/opt/cni",
           "/opt/containerd", "/var/lib/containers", "/var/lib/containerd", "/var/lib/docker", "/var/lib/cni",
           "/var/lib/docker-registry", "/var/log/pods", "/root/.config", "/root/.local/share/containers", "/root/.docker"]
STEPS = []


class Failed(Exception):
    """The client did not do what a user expects of it."""


class Skipped(Exception):
    """The step cannot be played on this machine, or with this client's version."""


def step(name):
    """Adds a function to the scenario, under its name in the table."""
    def add(function):
        STEPS.append((name, function))
        return function
    return add


def play(script):
    """Plays the steps of a script, in the namespaces made for it."""
    if os.environ.get("STAGE"):
        sys.exit(perform())
    if os.geteuid() != 0:
        sys.exit(f"{script}: needs root, for namespaces and daemons")
    sys.exit(Outside(pathlib.Path(script).resolve()).run())


# ---- outside: makes the namespaces, waits, takes away ----------------------------------------------------------------


class Outside:
    """What a scenario has on the machine, and the end of it."""

    def __init__(self, script):
        self.script = script
        sweep_stale()
        # Not below /tmp, which is an empty one inside.
        self.work = pathlib.Path(tempfile.mkdtemp(prefix=f"{SIGN}{os.getpid()}-", dir="/var/tmp"))
        self.work.chmod(0o755)
        self.cgroups = [tree / f"{SIGN}{os.getpid()}" for tree in cgroup_trees()]

    def run(self):
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        process = None
        try:
            for cgroup in self.cgroups:
                make_cgroup(cgroup)
            words = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--propagation", "private",
                     "--fork", "--kill-child", "--mount-proc", sys.executable, str(self.script), *sys.argv[1:]]
            runtime = self.work / "runtime" / runtime_path().name
            runtime.parent.mkdir()
            shutil.copy(runtime_path(), runtime)
            environment = dict(os.environ, STAGE=str(self.work), RUNTIME=str(runtime))
            # pylint: disable=subprocess-popen-preexec-fn
            process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, preexec_fn=self.enter_cgroups)
            code = process.wait()
        finally:
            # A second one must not disturb the taking away.
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
            if process and process.poll() is None:
                process.kill()
                process.wait()
            left = self.take_away()
        for line in left:
            print(f"# left behind on the machine: {line}")
        return 1 if left else code

    def enter_cgroups(self):
        for cgroup in self.cgroups:
            (cgroup / "cgroup.procs").write_text("0")

    def take_away(self):
        """Ends all; returns what would not go."""
        left = remove_cgroups(self.cgroups)
        table = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        left += [f"mount {line}" for line in table.splitlines() if str(self.work) in line]
        if not left:
            shutil.rmtree(self.work)
        return left


def runtime_path():
    path = shutil.which(os.environ.get("RUNTIME") or str(ROOT / "bin/corten"))
    return pathlib.Path(path).resolve() if path else sys.exit(f"no runtime at {os.environ.get('RUNTIME', 'bin/corten')}")


def cgroup_trees():
    """The mount points of all cgroup hierarchies."""
    lines = pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [pathlib.Path(line.split()[1]) for line in lines if line.split()[2] in ("cgroup", "cgroup2")]
    return [point for point in points if point == CGROUPS or CGROUPS in point.parents]


def make_cgroup(cgroup):
    cgroup.mkdir()
    # A new cpuset of cgroup v1 takes nobody in before it has CPUs and memory nodes.
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (cgroup / name).exists() and not (cgroup / "cgroup.controllers").exists():
            (cgroup / name).write_text((cgroup.parent / name).read_text())
    if (cgroup / "cgroup.clone_children").exists():
        (cgroup / "cgroup.clone_children").write_text("1")


def remove_cgroups(cgroups):
    """Removes trees of cgroups whose processes are dying; returns what is left of them after ten seconds."""
    end = time.monotonic() + 10
    while True:
        # A process that is frozen by one tree stays in all of them.
        for cgroup in cgroups:
            for path, _, _ in os.walk(cgroup, topdown=False):
                thaw(pathlib.Path(path))
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        left = [f"cgroup {path}" for cgroup in cgroups for path, _, _ in os.walk(cgroup)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.02)


def thaw(cgroup):
    """A frozen process cannot die on cgroup v1."""
    state = cgroup / "freezer.state"
    with contextlib.suppress(OSError):
        if state.exists() and state.read_text().strip() != "THAWED":
            state.write_text("THAWED")


def sweep_stale():
    """Takes away what a scenario left whose outer process was killed with SIGKILL."""
    def is_stale(path):
        number = re.match(rf"{SIGN}(\d+)", path.name)
        return number and not pathlib.Path(f"/proc/{number[1]}").exists()
    remove_cgroups([cgroup for tree in cgroup_trees() for cgroup in filter(is_stale, tree.glob(f"{SIGN}*"))])
    for work in filter(is_stale, pathlib.Path("/var/tmp").glob(f"{SIGN}*")):
        shutil.rmtree(work)


# ---- inside: pid 1 of the namespaces, and the player -----------------------------------------------------------------


def perform():
    """Pid 1: furnishes the namespaces, has the steps played by a child, and reaps what daemons leave to it."""
    work = pathlib.Path(os.environ.pop("STAGE"))
    furnish(work)
    player = os.fork()
    if player == 0:
        os.setsid()
        code = 1
        try:
            code = Stage(work).play()
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    while True:
        pid, status = os.wait()
        if pid == player:
            return os.waitstatus_to_exitcode(status) & 0xFF


def furnish(work):
    for number, path in enumerate(OVERLAID):
        upper, scratch = work / f"overlay/{number}/upper", work / f"overlay/{number}/work"
        upper.mkdir(parents=True)
        scratch.mkdir()
        shutil.copystat(path, upper)
        sh(f"mount -t overlay -o lowerdir={path},upperdir={upper},workdir={scratch} stage {path}")
    for path in FOREIGN:
        shutil.rmtree(path, ignore_errors=True)
    for path in ("/run", "/tmp"):
        sh(f"mount -t tmpfs -o mode={'1777' if path == '/tmp' else '0755'} stage {path}")
    os.mkdir("/run/lock")
    # conmon and the shims read from /dev/null, and crun gives the container's user what its program reads from.
    sh("mknod -m 666 /run/null c 1 3; mount --bind /run/null /dev/null")
    if os.environ.get("STAGE_DISK") == "ext4":
        own_disk(work)
    # Clients put graph drivers where overlayfs cannot lie on itself: these are the disk's.
    for path in ("/var/lib/containers", "/var/lib/containerd", "/var/lib/docker", "/var/lib/docker-registry", "/srv"):
        disk = work / "disk" / path[1:].replace("/", "-")
        disk.mkdir(parents=True)
        os.makedirs(path, exist_ok=True)
        sh(f"mount --bind {disk} {path}")
    sh("mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 stage /dev/pts")
    sh("mount -t mqueue stage /dev/mqueue" if os.path.isdir("/dev/mqueue") else "true")
    mount_cgroups()
    sh("hostname stage; ip link set lo up")


def own_disk(work):
    """A file system as mkfs and mount make it by default, in a file: whatever options this machine's own is mounted with."""
    file, disk = work / "disk.ext4", work / "disk"
    disk.mkdir()
    sh(f"truncate -s 32G {file}; mkfs.ext4 -q {file}; mount -o loop,noinit_itable {file} {disk}")


def mount_cgroups():
    """The trees as the machine has them; what is the subtree there is the root here.

    crun refuses a v2 tree with controllers beside v1: it gets the v1 trees alone, so that it can be compared at all.
    """
    lines = pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    mounts = [line.split() for line in lines]
    mounts = [(point, kind, options) for _, point, kind, options, *_ in mounts
              if kind in ("cgroup", "cgroup2") and pathlib.Path(point) in cgroup_trees()]
    sh("mount -t sysfs stage /sys")
    kinds = {kind for _, kind, _ in mounts}
    if len(kinds) == 2 and os.path.basename(os.environ["RUNTIME"]) == "crun":
        mounts = [mount for mount in mounts if mount[1] == "cgroup"]
    if mounts[0][0] != str(CGROUPS):
        sh(f"mount -t tmpfs -o mode=755 stage {CGROUPS}")
    for point, kind, options in mounts:
        os.makedirs(point, exist_ok=True)
        words = [word for word in options.split(",") if word not in ("rw", "ro", "relatime", "nosuid", "nodev", "noexec",
                                                                     "nsdelegate", "memory_recursiveprot")]
        sh(f"mount -t {kind} {'-o ' + ','.join(words) if words else ''} {'cgroup2' if kind == 'cgroup2' else 'cgroup'} {point}")
        if kind == "cgroup2":
            delegate(pathlib.Path(point))


def delegate(tree):
    """On cgroup v2 only a cgroup without processes of its own passes controllers on."""
    (tree / "stage").mkdir()
    (tree / "stage/cgroup.procs").write_text("0")
    for controller in (tree / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (tree / "cgroup.subtree_control").write_text(f"+{controller}")


def sh(script):
    subprocess.run(["sh", "-euc", script], check=True, stdin=subprocess.DEVNULL)


# ---- what steps use --------------------------------------------------------------------------------------------------


class Result:
    """How a command ended: `code`, `out` and `err`, stripped."""

    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out.strip(), err.strip()

    def __str__(self):
        line = " ".join(self.words)
        parts = [f"{line if len(line) < 200 else line[:200] + '…'}: exit code {self.code}"]
        parts += [f"{name}: {text[-800:]}" for name, text in (("stdout", self.out), ("stderr", self.err)) if text]
        return "\n".join(parts)


class Stage:
    """The inside of the namespaces, as the steps see it."""

    def __init__(self, work):
        self.work = work
        original = pathlib.Path(os.environ["RUNTIME"])
        self.name = original.name
        self.runtime = f"/usr/local/bin/{self.name}"
        self.daemons = []
        # What ends whatever a failed step left running, so that the next one has a chance.
        self.clean_up = lambda: None
        self.furniture = mount_points()
        install(original, self.runtime)
        # For podman's and buildah's own calls of nothing: an environment as a service has it.
        for name in list(os.environ):
            if name not in ("PATH", "HOME", "TERM", "LANG"):
                del os.environ[name]
        # TMPDIR: /var/tmp, where some of them leave things, is the machine's.
        os.environ.update(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8",
                          TMPDIR="/tmp")
        os.chdir("/")

    def play(self):
        wanted = sys.argv[1:]
        steps = [(name, function) for name, function in STEPS if not wanted or any(word in name for word in wanted)]
        print("TAP version 13", f"1..{len(steps)}", sep="\n", flush=True)
        failed = 0
        for number, (name, function) in enumerate(steps, 1):
            verdict, reason = "ok", ""
            start = time.monotonic()
            try:
                function(self)
            except Skipped as skipped:
                reason = f" # SKIP {skipped}"
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                # The step's own error is the one to tell.
                with contextlib.suppress(Exception):
                    self.clean_up()
                verdict = "not ok"
                text = str(error) if isinstance(error, Failed) else traceback.format_exc()
                reason = "".join(f"\n#   {line}" for line in text.splitlines())
            seconds = f"\n# {time.monotonic() - start:.1f} s" if os.environ.get("STAGE_TIMES") else ""
            print(f"{verdict} {number} - {name}{reason}{seconds}", flush=True)
        if failed:
            self.tell_logs()
        return 1 if failed else 0

    def tell_logs(self):
        for name, _, log in self.daemons:
            if name == "registry":
                continue
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            chosen = [line for line in lines if re.search(r"level=(error|fatal)|panic", line)][-6:]
            for line in chosen:
                print(f"# {name}: {line[:600]}")

    def adapt(self, file):
        """A file of contrib/, word for word; for another runtime than corten with its name in corten's place."""
        text = (ROOT / "contrib" / file).read_text(encoding="utf-8")
        return text.replace("corten", self.name)

    def run(self, *words, code=0, timeout=90, stdin=None, **more):
        """Runs a command that must end with this code (None: with any)."""
        words = [str(word) for word in words]
        try:
            done = subprocess.run(words, timeout=timeout, input=stdin, text=True, errors="replace", check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  **({} if stdin is not None else {"stdin": subprocess.DEVNULL}), **more)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(words)}: not done after {timeout} s; stdout {late.stdout}, stderr {late.stderr}") from None
        result = Result(words, done.returncode, done.stdout, done.stderr)
        if code is not None and result.code != code:
            raise Failed(f"expected exit code {code}; {result}")
        return result

    def background(self, *words, **more):
        """Starts a command with pipes for its input and outputs."""
        return subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, **more)

    def daemon(self, name, *words, ready, **more):
        """Starts a daemon, its outputs in a log, and waits until it is ready. It ends with the namespaces."""
        log = self.work / f"{name}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, **more)
        self.daemons.append((name, process, log))
        def is_ready():
            if process.poll() is not None:
                tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
                raise Failed(f"{name} ended with {process.returncode}: {tail}")
            return ready()
        await_that(f"{name} answers", is_ready, 60)
        return process

    def registry(self):
        """Debian's docker-registry on loopback; returns its address."""
        config = self.work / "registry.yml"
        config.write_text("version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: /srv/registry}}\n"
                          "http: {addr: '127.0.0.1:5000'}\n")
        def answers():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 5000), 1):
                return True
            return False
        self.daemon("registry", "docker-registry", "serve", config, ready=answers)
        return "127.0.0.1:5000"

    def traces(self, cgroups):
        """What containers have left: state of the runtime, cgroups whose paths match, mounts of root file systems."""
        roots = [f"/run/{self.name}", "/run/containerd/runc", "/run/docker/runtime-runc"]
        left = [f"state {path}/{file}" for root in roots for path, _, files in os.walk(root) for file in files]
        left += [f"cgroup {path}" for tree in cgroup_trees() for path, _, _ in os.walk(tree) if re.search(cgroups, path)]
        left += [f"mount {point}" for point in mount_points() if point not in self.furniture
                 and re.search("/rootfs|/merged|/netns/|/shm$", point)]
        return left


def mount_points():
    return [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]


def install(original, target):
    """Puts the runtime where its users have it; with RECORD, a directory, the recorder before it."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    record = os.environ.get("RECORD")
    if record:
        behind = original
        recorder = (ROOT / "integration/contract/record.sh").read_text(encoding="utf-8")
        text = recorder.replace("@RUNTIME@", str(behind)).replace("@RECORD@", record)
        pathlib.Path(target).write_text(text, encoding="utf-8")
    else:
        shutil.copy(original, target)
    os.chmod(target, 0o755)


class Terminal:
    """A command on a terminal of its own, as a person has it."""

    def __init__(self, *words, rows=24, columns=80, **more):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.words, self.master, self.seen = words, master, ""
        self.process = subprocess.Popen([str(word) for word in words], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, **more,
                                        # pylint: disable=subprocess-popen-preexec-fn
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def send(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, pattern, timeout=30):
        """Reads until the pattern was seen; what stood before it is forgotten."""
        end = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            try:
                data = os.read(self.master, 4096) if ready else b""
            except OSError:
                data = b""
            if not data:
                raise Failed(f"{' '.join(map(str, self.words))}: waited in vain for {pattern!r}; on the terminal: {self.seen!r}")
            self.seen += data.decode(errors="replace")

    def size(self):
        """What the shell on it takes for its rows and columns."""
        self.send("stty size\n")
        return self.expect(r"(\d+ \d+)\r?\n")[1]

    def end(self, code=0, timeout=30):
        """Waits for the command's end; its code must be this one."""
        end = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                if select.select([self.master], [], [], 0.1)[0]:
                    self.seen += os.read(self.master, 4096).decode(errors="replace")
        found = self.process.poll()
        self.close()
        expect(found, code, f"{' '.join(map(str, self.words))} (on the terminal: {self.seen[-400:]!r})")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.master)


def expect(found, wanted, what):
    if found != wanted:
        raise Failed(f"{what}: expected {wanted!r}, found {found!r}")


def expect_match(pattern, text, what):
    if not re.search(pattern, text):
        raise Failed(f"{what}: expected {pattern!r}, found {text!r}")


def await_that(what, condition, timeout=20):
    """Waits until the condition holds, and returns what it gave."""
    end = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"waited {timeout} s in vain until {what}")
        time.sleep(0.05)


def processes(pattern):
    """Pids of living processes of these namespaces whose command line matches."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if line and re.search(pattern, line):
                found.append(int(entry.name))
    return found


LIMITS = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max"),
          "cpu": ("cpu.cfs_quota_us", "cpu.max")}


def limits_of(pid, *controllers):
    """Limits of a process as its cgroup has them: of v1's controllers in files of the first name, of v2 in those of the second."""
    found = {}
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, mounted, path = line.split(":", 2)
        for key in controllers:
            old, new = LIMITS[key]
            if key in mounted.split(","):
                found[key] = pathlib.Path(f"/sys/fs/cgroup/{key}{path}/{old}").read_text().strip()
            elif not mounted and pathlib.Path(f"/sys/fs/cgroup{path}/{new}").exists():
                found[key] = pathlib.Path(f"/sys/fs/cgroup{path}/{new}").read_text().split()[0]
    return found


def image_archive(path, name, command=("sh",), busybox="/bin/busybox"):
    """Writes an image of busybox-static as `docker save` does: one layer, a few users."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for directory in ("bin", "dev", "etc", "home/user", "proc", "root", "sys", "tmp", "var/run"):
            (tree / "rootfs" / directory).mkdir(parents=True)
        (tree / "rootfs/tmp").chmod(0o1777)
        shutil.copy(busybox, tree / "rootfs/bin/busybox")
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                (tree / "rootfs/bin" / applet).symlink_to("busybox")
        (tree / "rootfs/etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
        (tree / "rootfs/etc/group").write_text("root:x:0:\ntty:x:5:\nuser:x:1000:\nmore:x:2000:user\n")
        os.chown(tree / "rootfs/home/user", 1000, 1000)
        (tree / "image").mkdir()
        layer = tree / "image/layer.tar"
        sh(f"tar -C {tree}/rootfs --numeric-owner -cf {layer} .")
        digest = subprocess.run(["sha256sum", layer], capture_output=True, text=True, check=True).stdout.split()[0]
        config = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
                  "os": "linux", "config": {"Cmd": list(command), "Env": ["PATH=/bin"], "WorkingDir": "/"},
                  "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                  "history": [{"created": "2026-01-01T00:00:00Z"}], "created": "2026-01-01T00:00:00Z"}
        (tree / "image/config.json").write_text(json.dumps(config))
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        (tree / "image/manifest.json").write_text(json.dumps(manifest))
        sh(f"tar -C {tree}/image -cf {path} manifest.json config.json layer.tar")
