#!/usr/bin/python3
"""docker: dockerd with a runtime of ours, its own containerd, its bridge, its builders, compose, a registry.

    integration/clients/docker.py [WORD...]      the steps whose names hold one of the words; RUNTIME=bin/corten

The registration is that of contrib/docker-daemon.json, word for word (for another runtime with its name in it).
"""

import json
import os
import pathlib
import re
import time
from functools import partial

from engines import exec_in, hardened, interactive, plain
from stage import Skipped, Terminal, await_that, expect, expect_match, image_archive, limits_of, play, processes, step

IMAGE = "busybox:1"
MIB = 1 << 20


def docker(s, *words, **more):
    return s.run("docker", *words, **more)


def run(s, *words, **more):
    return docker(s, "run", "--rm", "--runtime", registered(s), *words, **more)


def registered(s):
    """The name under which docker knows the runtime; its own runc it does not let anybody redefine."""
    return "tested-runc" if s.name == "runc" else s.name


def sleeper(s, name, *options, program="trap 'exit 7' TERM; echo up; sleep 1000 & wait"):
    docker(s, "run", "-d", "--runtime", registered(s), "--name", name, *options, IMAGE, "sh", "-c", program)
    await_that(f"{name} is up", lambda: "up" in docker(s, "logs", name).out)


def inspect(s, name, template):
    return docker(s, "inspect", "--format", template, name).out


def clean_up(s):
    names = docker(s, "ps", "-aq", code=None).out.split()
    if names:
        docker(s, "rm", "-f", *names, code=None)


@step("register: daemon.json names the runtime, docker info reports it")
def register(s):
    target = pathlib.Path("/etc/docker/daemon.json")
    target.parent.mkdir()
    target.write_text(s.adapt("docker-daemon.json").replace('"runc": {', '"tested-runc": {'), encoding="utf-8")
    # The daemon's BuildKit is told of no runtime: it calls what is named runc.
    script = pathlib.Path("/usr/local/sbin/runc")
    script.write_text(f'#!/bin/sh\necho "$@" >>/run/runc-calls\nexec {s.runtime} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    s.daemon("dockerd", "dockerd", "--default-runtime", registered(s), "--insecure-registry", "127.0.0.1:5000",
             ready=lambda: docker(s, "info", code=None).code == 0)
    s.clean_up = lambda: clean_up(s)
    found = json.loads(docker(s, "info", "--format", "{{json .}}").out)
    expect(found["Runtimes"][registered(s)]["path"], s.runtime, "the runtime's path in docker info")
    expect(found["DefaultRuntime"], registered(s), "the default runtime")
    image_archive("/tmp/image.tar", IMAGE)
    docker(s, "load", "-i", "/tmp/image.tar")


@step("run: output, input, exit code, environment, working directory, user")
def run_plain(s):
    plain(partial(run, s), IMAGE)


@step("run: a read-only root, mounts, tmpfs, hostname, capabilities, limits of resources")
def run_options(s):
    hardened(partial(run, s), IMAGE, forward=0)


@step("run: memory, cpu and pids limits are in force; update changes them")
def run_limits(s):
    sleeper(s, "web1", "--memory=64m", "--cpus=0.5", "--pids-limit=50")
    expect(limits(s, "web1"), {"memory": str(64 * MIB), "pids": "50", "cpu": "50000"}, "the limits in the cgroup")
    docker(s, "update", "--memory=96m", "--memory-swap=192m", "--cpus=0.25", "--pids-limit=60", "web1")
    expect(limits(s, "web1"), {"memory": str(96 * MIB), "pids": "60", "cpu": "25000"}, "the limits after an update")
    clean_up(s)


def limits(s, name):
    return limits_of(inspect(s, name, "{{.State.Pid}}"), "memory", "pids", "cpu")


@step("run: exit codes 126 and 127, and the reason")
def run_errors(s):
    cases = [
        (127, ["nosuch"], r"executable file not found in \$PATH"),
        (127, ["/no/such"], r"(?i)no such file or directory"),
        (126, ["/etc/passwd"], r"permission denied"),
        (126, ["/etc"], r"permission denied|is a directory"),
    ]
    for code, words, reason in cases:
        expect_match(reason, run(s, IMAGE, *words, code=code).err, f"message of {words}")
    result = run(s, "-v", "/srv/data:/etc/passwd", IMAGE, "true", code=None)
    expect(result.code in (125, 126, 127), True, f"a directory on a file: {result}")
    expect_match("(?i)not a directory", result.err, "its message")


@step("-it: a terminal, its size, a resize, ^C")
def terminal(s):
    interactive("docker", "run", "--rm", "-it", "--runtime", registered(s), IMAGE, "sh")


@step("exec: output, exit code, input, user, environment, directory, terminal, detached; errors")
def exec_(s):
    sleeper(s, "web2")
    exec_in(s, "docker", "web2")
    for code, word, reason in ((126, "nosuch", r"executable file not found in \$PATH"), (126, "/etc/passwd", "permission denied")):
        result = docker(s, "exec", "web2", word, code=None)
        expect(result.code in (code, 127), True, f"code of exec {word}: {result}")
        expect_match(reason, result.out + result.err, f"message of exec {word}")


@step("stop, restart, kill: by name and number, exit codes; --init; a restart policy")
def lives(s):
    docker(s, "stop", "-t", "5", "web2")
    expect(inspect(s, "web2", "{{.State.ExitCode}}"), "7", "exit code after SIGTERM")
    docker(s, "start", "web2")
    docker(s, "restart", "-t", "5", "web2")
    docker(s, "kill", "-s", "9", "web2")
    await_that("it is dead", lambda: inspect(s, "web2", "{{.State.Status}}") == "exited")
    expect(inspect(s, "web2", "{{.State.ExitCode}}"), "137", "exit code after SIGKILL")
    expect_match("is not running", docker(s, "kill", "web2", code=1).err, "kill of a dead one")
    sleeper(s, "web3", "--init")
    docker(s, "stop", "-t", "5", "web3")
    sleeper(s, "web4", "--restart=on-failure:2", program="echo up; sleep 0.5; exit 3")
    await_that("it was restarted twice", lambda: inspect(s, "web4", "{{.RestartCount}} {{.State.Status}}") == "2 exited")
    clean_up(s)


@step("attach, logs, wait, top, stats")
def observe(s):
    docker(s, "run", "-dit", "--runtime", registered(s), "--name", "web5", IMAGE, "sh")
    t = Terminal("docker", "attach", "web5")
    t.send("echo $((6 * 7))\n")
    t.expect(r"\n42\r?\n")
    t.send("\x10\x11")
    t.expect("read escape sequence")
    t.end(1)
    expect(inspect(s, "web5", "{{.State.Status}}"), "running", "after detaching")
    expect_match(r"\n42", docker(s, "logs", "web5").out, "logs")
    expect_match("sh", docker(s, "top", "web5").out, "top")
    found = json.loads(docker(s, "stats", "--no-stream", "--format", "{{json .}}", "web5").out)
    expect(found["PIDs"], "1", "pids in stats")
    expect_match(r"^[\d.]+[kKM]i?B / ", found["MemUsage"], "memory in stats")
    docker(s, "kill", "web5")
    expect(docker(s, "wait", "web5").out, "137", "wait")
    clean_up(s)


@step("pause, unpause: processes stand and go on")
def pause(s):
    sleeper(s, "web6", program="echo up; while true; do date +%s%N > /tick; sleep 0.05; done")
    tick = pathlib.Path(f"/proc/{inspect(s, 'web6', '{{.State.Pid}}')}/root/tick")
    docker(s, "pause", "web6")
    first = tick.read_text()
    time.sleep(0.3)
    expect(tick.read_text(), first, "a paused container's clock")
    expect_match("(?i)paused", docker(s, "exec", "web6", "true", code=1).err, "exec while paused")
    docker(s, "unpause", "web6")
    await_that("it goes on", lambda: tick.read_text() != first)
    clean_up(s)


@step("healthcheck, an out-of-memory kill, --pid=host, --cgroup-parent")
def states(s):
    sleeper(s, "web7", "--health-cmd", "true", "--health-interval=0.5s")
    await_that("it is healthy", lambda: inspect(s, "web7", "{{.State.Health.Status}}") == "healthy")
    docker(s, "run", "--runtime", registered(s), "--name", "web8", "--memory=16m", "--memory-swap=16m", IMAGE, "sh", "-c",
           "x=a; while true; do x=$x$x; done", code=137)
    expect(inspect(s, "web8", "{{.State.OOMKilled}}"), "true", "OOMKilled")
    sleeper(s, "web9", "--pid=host", program="sleep 4321 & echo up; sleep 4322 & wait")
    docker(s, "rm", "-f", "web9")
    await_that("its processes are gone", lambda: not processes("^sleep 432"))
    sleeper(s, "web10", "--cgroup-parent=/web-parent")
    lines = pathlib.Path(f"/proc/{inspect(s, 'web10', '{{.State.Pid}}')}/cgroup").read_text()
    expect_match(r":memory:/web-parent/|0::/web-parent/", lines, "its cgroup")
    clean_up(s)


@step("networks: a port on the bridge, names on a network of one's own, container:, host, none")
def networks(s):
    sleeper(s, "web11", "-p", "8088:80", program="echo up; while true; do echo hi | nc -l -p 80; done")
    address = inspect(s, "web11", "{{.NetworkSettings.IPAddress}}")
    await_that("it answers", lambda: s.run("busybox", "nc", address, "80", code=None, stdin="").out == "hi")
    await_that("the published port answers", lambda: s.run("busybox", "nc", "127.0.0.1", "8088", code=None, stdin="").out == "hi")
    found = run(s, "--network=container:web11", IMAGE, "sh", "-c", "nc 127.0.0.1 80 </dev/null", code=None)
    await_that("its loopback answers", lambda: run(s, "--network=container:web11", IMAGE, "sh", "-c",
               "nc 127.0.0.1 80 </dev/null", code=None).out == "hi" or found.out == "hi")
    docker(s, "network", "create", "net1")
    sleeper(s, "web12", "--network=net1", program="echo up; sleep 1000")
    expect_match("web12", run(s, "--network=net1", IMAGE, "nslookup", "web12.", "127.0.0.11", code=None).out, "a name")
    expect(run(s, "--network=host", IMAGE, "hostname").out, "stage", "the host's name")
    expect(run(s, "--network=none", IMAGE, "ls", "/sys/class/net").out, "lo", "no network")
    clean_up(s)


@step("privileged, devices, seccomp=unconfined, ipc and uts of the host, cgroupns")
def privileged(s):
    found = run(s, "--device=/dev/null:/dev/mine", IMAGE, "sh", "-c", "echo x > /dev/mine && ls /dev/mine; mknod /dev/sd b 8 0; cat /dev/sd", code=1)
    expect(found.out, "/dev/mine", "a device")
    expect_match("(?i)not permitted", found.err, "a device that is not allowed")
    found = run(s, "--privileged", "--ipc=host", "--uts=host", IMAGE, "sh", "-c", "mount -t tmpfs none /mnt 2>&1 || mount -t tmpfs none /tmp && echo mounted")
    expect_match("mounted", found.out, "what a privileged container may")
    expect(run(s, "--security-opt", "seccomp=unconfined", IMAGE, "grep", "Seccomp:", "/proc/self/status").out, "Seccomp:\t0", "seccomp")
    expect_match(r":/$|:/\n", run(s, "--cgroupns=private", IMAGE, "cat", "/proc/self/cgroup").out, "the cgroup from inside")


@step("build: RUN by this runtime (the classic builder: Debian has no buildx)")
def build(s):
    os.makedirs("/srv/build", exist_ok=True)
    pathlib.Path("/srv/build/Dockerfile").write_text(
        f"FROM {IMAGE}\nRUN id -u > /made && echo $$ >> /made\nRUN test -s /made\nUSER user\nCMD cat /made\n")
    docker(s, "build", "-t", "built", "/srv/build", env=dict(os.environ, DOCKER_BUILDKIT="0"))
    expect(run(s, "built").out.split()[0], "0", "what RUN wrote")
    failed = docker(s, "build", "--force-rm", "-", stdin=f"FROM {IMAGE}\nRUN exit 42\n", env=dict(os.environ, DOCKER_BUILDKIT="0"), code=None)
    expect_match("non-zero code: 42", failed.err, "a RUN that fails")


@step("build with BuildKit: RUN, a user, a secret, a RUN that fails")
def buildkit(s):
    # A newer command wants a plugin for it, which Debian does not have; Debian's own speaks BuildKit itself.
    def build(*words, **more):
        return s.run("/usr/bin/docker", "build", *words, env=dict(os.environ, DOCKER_BUILDKIT="1"), **more)
    os.makedirs("/srv/kit", exist_ok=True)
    pathlib.Path("/srv/kit/secret").write_text("hidden\n")
    pathlib.Path("/srv/kit/Dockerfile").write_text(
        f"FROM {IMAGE}\nRUN id -u > /made && hostname >> /made\nUSER user\n"
        "RUN --mount=type=secret,id=word,mode=0444 cat /run/secrets/word > /tmp/told && id -u >> /tmp/told\nCMD cat /made /tmp/told\n")
    made = build("-t", "kit", "--secret", "id=word,src=/srv/kit/secret", "/srv/kit", code=None)
    if made.code and "buildx" in made.err:
        raise Skipped("this docker has no BuildKit without buildx")
    expect(made.code, 0, str(made))
    expect(run(s, "kit").out.split(), ["0", "buildkitsandbox", "hidden", "1000"], "what the RUNs wrote")
    expect_match(r"(?m)^.* run --bundle \S*buildkit\S* ", pathlib.Path("/run/runc-calls").read_text(), "BuildKit's call")
    pathlib.Path("/srv/kit/Dockerfile").write_text(f"FROM {IMAGE}\nRUN exit 42\n")
    expect_match("exit code: 42", build("/srv/kit", code=1).err, "a RUN that fails")


@step("push to and pull from a registry")
def registry(s):
    address = s.registry()
    docker(s, "tag", IMAGE, f"{address}/box:1")
    docker(s, "push", f"{address}/box:1")
    docker(s, "rmi", f"{address}/box:1")
    expect(run(s, f"{address}/box:1", "echo", "pulled").out, "pulled", "of the registry's image")


@step("compose: two services, one reaches the other, down takes all away")
def compose(s):
    if s.run("docker-compose", "version", code=None).code:
        raise Skipped("docker-compose is not installed")
    os.makedirs("/srv/app", exist_ok=True)
    pathlib.Path("/srv/app/docker-compose.yml").write_text(f"""
version: "2.4"
services:
  server:
    image: {IMAGE}
    runtime: {registered(s)}
    command: sh -c "while true; do echo hi | nc -l -p 80; done"
    mem_limit: 64m
  client:
    image: {IMAGE}
    runtime: {registered(s)}
    depends_on: [server]
    command: sh -c "until nc server 80 </dev/null; do sleep 0.1; done"
""")
    s.run("docker-compose", "up", "-d", cwd="/srv/app")
    await_that("the client has its answer", lambda: "hi" in s.run("docker-compose", "logs", "client", cwd="/srv/app").out)
    s.run("docker-compose", "exec", "-T", "server", "true", cwd="/srv/app")
    s.run("docker-compose", "down", "-t", "0", cwd="/srv/app")
    expect(docker(s, "ps", "-aq").out, "", "after down")


@step("dockerd restarts with live-restore: the container goes on")
def restart(s):
    sleeper(s, "web13")
    index = next(index for index, daemon in enumerate(s.daemons) if daemon[0] == "dockerd")
    _, process, _ = s.daemons.pop(index)
    pathlib.Path("/etc/docker/daemon.json").write_text(
        pathlib.Path("/etc/docker/daemon.json").read_text().replace("{", '{ "live-restore": true,', 1))
    os.kill(process.pid, 1)
    await_that("live-restore is on", lambda: docker(s, "info", "--format", "{{.LiveRestoreEnabled}}").out == "true")
    process.terminate()
    process.wait(30)
    s.daemon("dockerd", "dockerd", "--default-runtime", registered(s), ready=lambda: docker(s, "info", code=None).code == 0)
    expect(inspect(s, "web13", "{{.State.Status}}"), "running", "status")
    expect(docker(s, "exec", "web13", "echo", "again").out, "again", "exec")


@step("rm of all: no state, cgroup, process or mount is left")
def nothing(s):
    clean_up(s)
    await_that("no shim is left", lambda: not processes("containerd-shim"))
    left = s.traces(r"/docker/[0-9a-f]{64}|/web") + [f"process {number}" for number in processes("^sleep 1000")]
    # dockerd's own: the namespace of its networks, and parents of cgroups, which no runtime removes.
    left = [line for line in left if not re.search("/web-parent$|/netns/default$", line)]
    expect(left, [], "left")


if __name__ == "__main__":
    play(__file__)
