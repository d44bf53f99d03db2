#!/usr/bin/python3
"""podman and conmon: containers with and without a terminal, exec, pause, statistics, health, pods, kube, rootless.

    integration/clients/podman.py [WORD...]      the steps whose names hold one of the words; RUNTIME=bin/corten

The registration is that of contrib/containers.conf, word for word (for another runtime with its name in it).
"""

import json
import os
import pathlib
import re
import time
from functools import partial

from engines import exec_in, hardened, interactive, plain
from stage import (Failed, Skipped, Terminal, await_that, expect, expect_match, image_archive, limits_of, play, processes, sh, step)

IMAGE = "localhost/busybox:1"
USER = "corten-podman"
MIB = 1 << 20


def podman(s, *words, **more):
    return s.run("podman", *words, **more)


def inspect(s, name, template):
    return podman(s, "inspect", "--format", template, name).out


def run(s, *words, **more):
    """`podman run --rm` on no network."""
    return podman(s, "run", "--rm", "--network=none", *words, **more)


def sleeper(s, name, *words, program="trap 'exit 7' TERM; echo up; sleep 1000 & wait"):
    podman(s, "run", "-d", "--network=none", "--name", name, *words, IMAGE, "sh", "-c", program)
    await_that(f"{name} is up", lambda: "up" in podman(s, "logs", name).out)


@step("register: containers.conf names the runtime, podman reports it")
def register(s):
    s.clean_up = lambda: s.run("podman", "rm", "-af", "-t0", code=None)
    target = pathlib.Path("/etc/containers/containers.conf.d/corten.conf")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(s.adapt("containers.conf"), encoding="utf-8")
    # Overlayfs does not lie upon itself in all kernels, and speed is not looked for.
    pathlib.Path("/etc/containers/storage.conf").write_text(
        '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n')
    found = json.loads(podman(s, "info", "--format", "json").out)["host"]["ociRuntime"]
    expect(found["path"], s.runtime, "the runtime's path in podman info")
    expect_match(rf"(?i){s.name}.*\d", found["version"], "its version")
    image_archive("/tmp/image.tar", IMAGE)
    podman(s, "load", "-i", "/tmp/image.tar")


@step("run: output, input, exit code, environment, working directory, user")
def run_plain(s):
    plain(partial(run, s), IMAGE)


@step("run: a read-only root, mounts, tmpfs, hostname, capabilities, limits")
def run_options(s):
    hardened(partial(run, s), IMAGE, forward=1, more=["--ulimit", "nproc=100:200"])


@step("run: memory, cpu and pids limits are in force")
def run_limits(s):
    sleeper(s, "web1", "--memory=64m", "--cpus=0.5", "--pids-limit=50")
    expect(limits(s, "web1"), {"memory": str(64 * MIB), "pids": "50", "cpu": "50000"}, "the limits in the cgroup")
    podman(s, "rm", "-f", "-t0", "web1")


def limits(s, name):
    return limits_of(inspect(s, name, "{{.State.Pid}}"), "memory", "pids", "cpu")


@step("run: exit codes 125, 126 and 127 with the reason")
def run_errors(s):
    cases = [
        (127, ["nosuch"], r'executable file .?nosuch.? not found in \$PATH|"nosuch": executable file not found in \$PATH'),
        (127, ["/no/such"], r"(?i)no such file or directory"),
        (126, ["/etc/passwd"], r"(?i)permission denied"),
        (126, ["/etc"], r"(?i)permission denied|is a directory"),
    ]
    for code, words, reason in cases:
        expect_match(reason, run(s, IMAGE, *words, code=code).err, f"message of {words}")
    result = run(s, "-w", "/etc/passwd", IMAGE, "true", code=None)
    expect(result.code in (126, 127), True, f"code 126 or 127: {result}")


@step("-it: a terminal, its size, a resize, ^C")
def terminal(s):
    interactive("podman", "run", "--rm", "-it", "--network=none", IMAGE, "sh")
    expect(run(s, "-t", IMAGE, "tty").out.strip(), "/dev/pts/0", "the terminal's name")


@step("exec: output, exit code, input, user, environment, directory, terminal, detached")
def exec_(s):
    sleeper(s, "web3")
    exec_in(s, "podman", "web3")


@step("exec: exit codes 126 and 127, and that of a container that does not run")
def exec_errors(s):
    for code, word in ((127, "nosuch"), (127, "/no/such"), (126, "/etc/passwd")):
        podman(s, "exec", "web3", word, code=code)
    podman(s, "stop", "-t5", "web3")
    expect(inspect(s, "web3", "{{.State.ExitCode}}"), "7", "exit code after SIGTERM")
    podman(s, "exec", "web3", "true", code=255)
    podman(s, "rm", "web3")


@step("attach: output comes, input goes, detaching leaves the container")
def attach(s):
    podman(s, "run", "-dit", "--network=none", "--name", "web4", IMAGE, "sh")
    t = Terminal("podman", "attach", "web4")
    t.send("echo $((6 * 7))\n")
    t.expect(r"\n42\r?\n")
    # podman looks for its detach keys in reads of one byte.
    t.send("\x10")
    time.sleep(0.2)
    t.send("\x11")
    t.end(0)
    expect(inspect(s, "web4", "{{.State.Status}}"), "running", "after detaching")
    podman(s, "run", "-d", "-i", "--network=none", "--name", "web5", IMAGE, "cat")
    expect(podman(s, "attach", "web5", stdin="via attach\n").out, "via attach", "cat's echo")
    podman(s, "rm", "-f", "-t0", "web4", "web5")


@step("start --attach, restart, rename, wait, logs")
def lives(s):
    podman(s, "create", "--network=none", "--name", "web6", IMAGE, "sh", "-c", "echo life; exit 3")
    expect(podman(s, "start", "--attach", "web6", code=3).out, "life", "first life")
    expect(podman(s, "start", "--attach", "web6", code=3).out, "life", "second life")
    podman(s, "start", "web6")
    expect(podman(s, "wait", "web6").out, "3", "wait")
    expect(podman(s, "logs", "web6").out.split(), ["life"] * 3, "logs")
    podman(s, "rm", "web6")
    sleeper(s, "web7")
    before = inspect(s, "web7", "{{.State.Pid}}")
    podman(s, "restart", "-t5", "web7")
    expect(inspect(s, "web7", "{{.State.Pid}}") != before, True, "restart gives a new process")
    podman(s, "rm", "-f", "-t0", "web7")


@step("pause, unpause: processes stand and go on")
def pause(s):
    sleeper(s, "web8", program="echo up; while true; do date +%s%N > /tmp/tick; sleep 0.05; done")
    podman(s, "pause", "web8")
    expect(inspect(s, "web8", "{{.State.Status}}"), "paused", "status")
    def tick():
        pid = inspect(s, "web8", "{{.State.Pid}}")
        return pathlib.Path(f"/proc/{pid}/root/tmp/tick").read_text()
    first = tick()
    time.sleep(0.3)
    expect(tick(), first, "a paused container's clock")
    expect_match("(?i)paused|state improper", podman(s, "exec", "web8", "true", code=255).err, "exec while paused")
    podman(s, "unpause", "web8")
    await_that("it goes on", lambda: tick() != first)
    podman(s, "pause", "web8")
    podman(s, "rm", "-f", "-t0", "web8")


@step("kill: by name and by number, the program hears it; --init passes it on")
def kill(s):
    sleeper(s, "web9", program="trap 'echo usr1' USR1; trap 'echo hup; exit 4' HUP; echo up; while true; do sleep 0.05; done")
    podman(s, "kill", "-s", "USR1", "web9")
    await_that("USR1 is heard", lambda: "usr1" in podman(s, "logs", "web9").out)
    podman(s, "kill", "-s", "1", "web9")
    expect(podman(s, "wait", "web9").out, "4", "exit code after HUP")
    expect_match("(?i)not running|can only kill running", podman(s, "kill", "web9", code=125).err, "kill of a dead one")
    podman(s, "rm", "web9")
    sleeper(s, "web10", "--init")
    podman(s, "stop", "-t5", "web10")
    podman(s, "rm", "web10")


@step("--pid=host: all processes of the container die with it")
def pid_host(s):
    sleeper(s, "web11", "--pid=host", program="sleep 4321 & echo up; sleep 4322 & wait")
    podman(s, "rm", "-f", "-t0", "web11")
    await_that("its processes are gone", lambda: not processes("^sleep 432"))


@step("stats and top: memory, cpu, pids, processes")
def stats(s):
    sleeper(s, "web12", program="echo up; while true; do :; done")
    found = json.loads(podman(s, "stats", "--no-stream", "--format", "json", "web12").out)[0]
    expect(found["pids"], "1", "pids")
    expect_match(r"^[\d.]+[kKMG]?B / ", found["mem_usage"], "memory")
    expect_match(r"sh", podman(s, "top", "web12", "pid", "comm").out, "top")
    podman(s, "rm", "-f", "-t0", "web12")


@step("healthcheck: healthy and unhealthy")
def healthcheck(s):
    sleeper(s, "web13", "--health-cmd", "test -e /tmp/well", "--health-interval=disable", "--health-retries=1")
    podman(s, "healthcheck", "run", "web13", code=1)
    podman(s, "exec", "web13", "touch", "/tmp/well")
    podman(s, "healthcheck", "run", "web13")
    expect(inspect(s, "web13", "{{.State.Health.Status}}"), "healthy", "health")
    podman(s, "rm", "-f", "-t0", "web13")


@step("pod: containers share network and IPC, one pause, one end")
def pod(s):
    pause_image(s)
    podman(s, "pod", "create", "--network=none", "--infra-image", "localhost/pause:1", "--name", "pod1")
    podman(s, "run", "-d", "--pod", "pod1", "--name", "web14", IMAGE, "sh", "-c", "echo hi | nc -l -p 8080 >/dev/null; sleep 1000")
    expect(await_that("the other answers", lambda: podman(s, "run", "--rm", "--pod", "pod1", IMAGE, "sh", "-c",
           "nc 127.0.0.1 8080 </dev/null", code=None).out), "hi", "by the pod's loopback")
    for verb, status in (("pause", "Paused"), ("unpause", "Running")):
        podman(s, "pod", verb, "pod1")
        expect(podman(s, "pod", "inspect", "--format", "{{.State}}", "pod1").out, status, f"pod {verb}")
    podman(s, "pod", "rm", "-f", "-t0", "pod1")


def pause_image(s):
    image_archive("/tmp/pause.tar", "localhost/pause:1", command=["sh", "-c", "trap 'exit 0' TERM INT; sleep 100000 & wait"])
    podman(s, "load", "-i", "/tmp/pause.tar")


@step("kube play and down: a pod from YAML, with limits")
def kube(s):
    pathlib.Path("/srv/pod.yaml").write_text(f"""
apiVersion: v1
kind: Pod
metadata: {{name: pod2}}
spec:
  containers:
  - name: main
    image: {IMAGE}
    command: [sh, -c, 'echo from kube $WHO; sleep 1000']
    env: [{{name: WHO, value: you}}]
    resources: {{limits: {{memory: 64Mi}}}}
    securityContext: {{readOnlyRootFilesystem: true, runAsUser: 1000}}
""")
    pathlib.Path("/etc/containers/containers.conf.d/infra.conf").write_text('[engine]\ninfra_image = "localhost/pause:1"\n')
    podman(s, "play", "kube", "--network=none", "/srv/pod.yaml")
    await_that("the container speaks", lambda: podman(s, "logs", "pod2-main").out == "from kube you")
    expect(limits(s, "pod2-main")["memory"], str(64 * MIB), "its memory limit")
    expect(podman(s, "exec", "pod2-main", "id", "-u").out, "1000", "its user")
    podman(s, "play", "kube", "--down", "/srv/pod.yaml")
    expect(podman(s, "ps", "-aq").out, "", "after down")


@step("update: new limits for a running container")
def update(s):
    if "update" not in podman(s, "--help").out.split():
        raise Skipped(f"{podman(s, '--version').out} has no update")
    sleeper(s, "web15", "--memory=64m")
    podman(s, "update", "--memory=96m", "web15")
    expect(limits(s, "web15")["memory"], str(96 * MIB), "memory")
    podman(s, "rm", "-f", "-t0", "web15")


@step("bridge network: a published port answers")
def bridge(s):
    made = podman(s, "network", "create", "net1", code=None)
    if made.code:
        raise Skipped(f"no bridge network here: {made.err[-200:]}")
    sleeper(s, "web16", program="echo up; while true; do echo hi | nc -l -p 80; done")
    podman(s, "rm", "-f", "-t0", "web16")
    result = podman(s, "run", "-d", "--network=net1", "-p", "8088:80", "--name", "web16", IMAGE, "sh", "-c",
                    "echo up; while true; do echo hi | nc -l -p 80; done", code=None)
    if result.code and re.search("netavark|iptables|nftables", result.err):
        raise Skipped(f"no bridge network here: {result.err[-200:]}")
    expect(result.code, 0, str(result))
    address = inspect(s, "web16", "{{.NetworkSettings.Networks.net1.IPAddress}}")
    await_that("it answers", lambda: s.run("busybox", "nc", address, "80", code=None, stdin="").out == "hi")
    podman(s, "rm", "-f", "-t0", "web16")


@step("user namespace: --uidmap, --userns=auto's like")
def user_namespace(s):
    found = run(s, "--uidmap=0:100000:65536", "--gidmap=0:100000:65536", IMAGE, "cat", "/proc/self/uid_map").out
    expect(found.split(), ["0", "100000", "65536"], "the id map")
    expect(run(s, "--uidmap=0:100000:65536", "--read-only", "-u", "user", IMAGE, "id", "-u").out, "1000", "a user in it")


@step("privileged, devices, host namespaces, cgroupns")
def privileged(s):
    found = run(s, "--device=/dev/null:/dev/mine", IMAGE, "sh", "-c", "echo x > /dev/mine && ls /dev/mine").out
    expect(found, "/dev/mine", "a device")
    found = podman(s, "run", "--rm", "--privileged", "--network=host", "--ipc=host", "--uts=host", IMAGE, "sh", "-c",
                   "hostname; grep CapEff /proc/self/status; mount -t tmpfs none /tmp && echo mounted")
    expect_match(r"stage\nCapEff:\t0*[1-9a-f]+\nmounted", found.out, "what a privileged container may")
    expect_match(r":/$|:/\n", run(s, "--cgroupns=private", IMAGE, "cat", "/proc/self/cgroup").out, "the cgroup seen from inside")


@step("--cgroups=disabled: no cgroup is made")
def no_cgroups(s):
    found = run(s, "--cgroups=disabled", IMAGE, "cat", "/proc/self/cgroup", code=None)
    if "not compatible with NoCgroups" in found.err:
        raise Skipped(f"podman's list runtime_supports_nocgroups does not name {s.name}")
    expect(found.code, 0, str(found))
    expect("libpod-" in found.out, False, "a libpod cgroup")


@step("build: RUN by this runtime")
def build(s):
    podman(s, "build", "--runtime", s.runtime, "--network=none", "-t", "built", "-f", "-", ".", cwd="/srv",
           stdin=f"FROM {IMAGE}\nRUN id -u > /made && echo $$ >> /made\nUSER user\nCMD cat /made\n")
    expect(run(s, "built").out.split()[0], "0", "what RUN wrote")


@step("rm of all: no state, cgroup, process or mount is left")
def nothing(s):
    podman(s, "rm", "-af", "-t0")
    podman(s, "pod", "rm", "-af")
    left = s.traces(rf"/libpod-[0-9a-f]{{64}}|buildah")
    left += [f"process {pid}" for pid in processes("conmon|sleep 1000")]
    expect(left, [], "left")


# ---- an ordinary user ------------------------------------------------------------------------------------------------


def as_user(s, *words, **more):
    """A command as the test's own user, in an environment as after a login."""
    environment = ["HOME=/home/" + USER, "XDG_RUNTIME_DIR=/run/user/4242", "USER=" + USER, "LOGNAME=" + USER,
                   "PATH=" + os.environ["PATH"]]
    return s.run("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "env", "-i", *environment, *words,
                 cwd="/home/" + USER, **more)


def rootless(s, *words, **more):
    return as_user(s, "podman", "run", "--rm", "--network=none", *words, **more)


@step("rootless: a user made for it runs, execs, stops")
def rootless_run(s):
    sh(f"groupadd -g 4242 {USER}; useradd -u 4242 -g 4242 -m -d /home/{USER} -s /bin/sh {USER}; "
       f"sed -i /^{USER}:/d /etc/subuid /etc/subgid; echo {USER}:300000:65536 | tee -a /etc/subuid >>/etc/subgid; "
       f"install -d -m 700 -o 4242 -g 4242 /run/user/4242 /srv/rootless; install -d -o 4242 -g 4242 /home/{USER}/.config/containers")
    pathlib.Path(f"/home/{USER}/.config/containers/storage.conf").write_text(
        '[storage]\ndriver = "vfs"\nrunroot = "/run/user/4242/storage"\ngraphroot = "/srv/rootless/storage"\n')
    as_user(s, "podman", "load", "-i", "/tmp/image.tar")
    expect(rootless(s, IMAGE, "sh", "-c", "id -u; cat /proc/self/uid_map").out.split(), ["0", "0", "4242", "1", "1", "300000", "65536"], "ids")
    rootless(s, IMAGE, "sh", "-c", "exit 42", code=42)
    rootless(s, IMAGE, "nosuch", code=127)
    expect(rootless(s, "-u", "user", "--read-only", IMAGE, "id", "-u").out, "1000", "another user")
    expect(rootless(s, "--userns=keep-id", IMAGE, "id", "-u").out, "4242", "keep-id")


@step("rootless: detached, exec, terminal, stop")
def rootless_detached(s):
    as_user(s, "podman", "run", "-d", "--network=none", "--name", "web20", IMAGE, "sh", "-c", "trap 'exit 7' TERM; echo up; sleep 1000 & wait")
    await_that("web20 is up", lambda: "up" in as_user(s, "podman", "logs", "web20").out)
    expect(as_user(s, "podman", "exec", "-e", "A=b", "web20", "sh", "-c", "echo $A; exit 0").out, "b", "exec")
    as_user(s, "podman", "exec", "web20", "nosuch", code=127)
    t = Terminal("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "env", "-i", "HOME=/home/" + USER, "TERM=xterm",
                 "XDG_RUNTIME_DIR=/run/user/4242", "PATH=" + os.environ["PATH"], "podman", "exec", "-it", "web20", "sh", cwd="/")
    t.expect(r"/ # ")
    t.send("tty && exit 6\n")
    t.expect(r"/dev/pts/\d")
    t.end(6)
    as_user(s, "podman", "stop", "-t5", "web20")
    expect(as_user(s, "podman", "inspect", "--format", "{{.State.ExitCode}}", "web20").out, "7", "exit code")
    as_user(s, "podman", "rm", "-f", "web20")
    left = [path for path in pathlib.Path(f"/run/user/4242/{s.name}").glob("*") if path.is_dir() and len(path.name) == 64]
    expect(left, [], "state left")


if __name__ == "__main__":
    play(__file__)
