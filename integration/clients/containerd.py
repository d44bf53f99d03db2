#!/usr/bin/python3
"""containerd by ctr: its shim runc-v2 with `BinaryName`, and all that ctr asks of a runtime.

    integration/clients/containerd.py [WORD...]      the steps whose names hold one of the words; RUNTIME=bin/corten
"""

import json
import os
import pathlib
import re
import time

from stage import Terminal, await_that, expect, expect_match, image_archive, limits_of, play, processes, step

IMAGE = "docker.io/library/busybox:1"


def ctr(s, *words, **more):
    return s.run("ctr", *words, **more)


def run(s, name, *words, options=(), **more):
    """`ctr run --rm`, attached to its end."""
    return ctr(s, "run", "--rm", *with_runtime(s), *options, IMAGE, name, *words, **more)


def with_runtime(s):
    return ["--runc-binary", s.runtime]


def detached(s, name, program="trap 'exit 7' TERM; sleep 1000 & wait", options=()):
    ctr(s, "run", "-d", *with_runtime(s), *options, IMAGE, name, "sh", "-c", program)


def status(s, name):
    for line in ctr(s, "task", "ls").out.splitlines():
        words = line.split()
        if words[0] == name:
            return words[2]
    return "gone"


def pid(s, name):
    lines = ctr(s, "task", "ls").out.splitlines()
    return next(int(line.split()[1]) for line in lines if line.split()[0] == name)


def end(s, name):
    """Kills and deletes a task and its container."""
    ctr(s, "task", "kill", "-s", "KILL", name, code=None)
    await_that(f"{name} has stopped", lambda: status(s, name) in ("STOPPED", "gone"))
    ctr(s, "task", "delete", name, code=None)
    ctr(s, "container", "delete", name)


def clean_up(s):
    for line in ctr(s, "task", "ls", "-q").out.split():
        ctr(s, "task", "delete", "-f", line, code=None)
    for line in ctr(s, "container", "ls", "-q").out.split():
        ctr(s, "container", "delete", line, code=None)


@step("containerd starts; an image is imported")
def start(s):
    os.makedirs("/etc/containerd")
    pathlib.Path("/etc/containerd/config.toml").write_text(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs"]\n'
        "[debug]\nlevel = 'info'\n")
    s.daemon("containerd", "containerd", ready=lambda: ctr(s, "version", code=None).code == 0)
    s.clean_up = lambda: clean_up(s)
    image_archive("/tmp/image.tar", IMAGE)
    ctr(s, "image", "import", "/tmp/image.tar")


@step("run: output, input, exit code, environment, working directory")
def run_plain(s):
    expect(run(s, "web1", "echo", "hello").out, "hello", "output")
    # ctr does not pass the end of its input on.
    expect(run(s, "web1", "head", "-n1", stdin="from outside\n").out, "from outside", "input")
    run(s, "web1", "sh", "-c", "exit 42", code=42)
    found = run(s, "web1", "sh", "-c", "echo $A; pwd", options=["--env", "A=b c", "--cwd", "/tmp"]).out
    expect(found.splitlines(), ["b c", "/tmp"], "environment, directory")
    result = run(s, "web1", "sh", "-c", "echo one; echo two >&2")
    expect((result.out, result.err), ("one", "two"), "both outputs apart")


@step("run: mounts, a read-only root, host network, seccomp, capabilities, a cgroup of its own name")
def run_options(s):
    os.makedirs("/srv/data", exist_ok=True)
    pathlib.Path("/srv/data/file").write_text("content\n")
    found = run(s, "web2", "sh", "-c", "cat /data/file; touch /x 2>&1; ls /sys/class/net; grep -E 'Seccomp:|NoNew' /proc/self/status",
                options=["--read-only", "--mount", "type=bind,src=/srv/data,dst=/data,options=rbind:ro", "--net-host",
                         "--seccomp", "--cgroup", "/web-own"]).out
    expect(found.splitlines(), ["content", "touch: /x: Read-only file system", "lo", "NoNewPrivs:\t1", "Seccomp:\t2"], "what it sees")


@step("run: limits are in force")
def run_limits(s):
    detached(s, "web3", options=["--memory-limit", str(64 << 20), "--cpus", "0.5"])
    found = limits_of(pid(s, "web3"), "memory", "cpu")
    expect(found, {"memory": str(64 << 20), "cpu": "50000"}, "limits")
    end(s, "web3")


@step("run: what fails names the reason, by the shim's log file")
def run_errors(s):
    cases = [("nosuch", r"executable file.*not found in \$PATH"),
             ("/no/such", r"(?i)no such file or directory"), ("/etc/passwd", r"(?i)permission denied"),
             ("/etc", r"(?i)permission denied|is a directory")]
    for word, reason in cases:
        result = run(s, "web4", word, code=None)
        expect(result.code != 0, True, f"failure of {word}")
        expect_match(reason, result.err, f"message of {word}")
        expect("unable to retrieve OCI runtime error" in result.err, False, f"the log file was read: {result.err}")
    expect(status(s, "web4"), "gone", "the task")
    clean_up(s)


@step("run -t: a terminal and its size")
def terminal(s):
    t = Terminal("ctr", "run", "--rm", "-t", *with_runtime(s), IMAGE, "web5", "sh", rows=30, columns=90)
    t.expect(r"/ # ")
    t.send("tty; stty size\n")
    t.expect(r"/dev/pts/0\r*\n30 90")
    t.send("exit 5\n")
    t.end(5)


@step("exec: output, exit code, input, user, terminal, detached; errors")
def exec_(s):
    detached(s, "web6")
    def exec_in(name, *words, **more):
        return ctr(s, "task", "exec", "--exec-id", name, "web6", *words, **more)
    expect(exec_in("e1", "echo", "inside").out, "inside", "output")
    exec_in("e2", "sh", "-c", "exit 9", code=9)
    expect(exec_in("e3", "head", "-n1", stdin="to exec\n").out, "to exec", "input")
    t = Terminal("ctr", "task", "exec", "-t", "--exec-id", "e5", "web6", "sh")
    t.expect(r"/ # ")
    t.send("tty && exit 3\n")
    t.expect(r"/dev/pts/\d")
    t.end(3)
    ctr(s, "task", "exec", "-d", "--exec-id", "e6", "web6", "sh", "-c", "echo done > /tmp/detached; sleep 1000")
    written = pathlib.Path(f"/proc/{pid(s, 'web6')}/root/tmp/detached")
    await_that("it has written", lambda: written.exists() and written.read_text() == "done\n")
    for name, word, reason in (("e8", "nosuch", r"executable file.*not found in \$PATH"), ("e9", "/etc/passwd", "(?i)permission denied")):
        expect_match(reason, exec_in(name, word, code=None).err, f"exec of {word}")
    # The last, for ctr mounts the root file system a second time to look the user up, and takes overlayfs' own place away.
    expect(ctr(s, "task", "exec", "--exec-id", "e4", "--user", "1000", "--cwd", "/tmp", "web6", "sh", "-c", "id -u; pwd").out.split(),
           ["1000", "/tmp"], "user, directory")


@step("ps, metrics")
def inspect(s):
    pids = re.findall(r"^(\d+)", ctr(s, "task", "ps", "web6").out, re.MULTILINE)
    expect(len(pids) >= 3, True, f"sh, its sleep and the detached exec: {pids}")
    found = json.loads(ctr(s, "task", "metrics", "--format", "json", "web6").out)
    expect(found["pids"]["current"], len(pids), "pids in metrics")
    expect(int(found["memory"]["usage"]["usage"] if "usage" in found["memory"] and isinstance(found["memory"]["usage"], dict)
               else found["memory"]["usage"]) > 0, True, "memory in metrics")


@step("kill: number and name; exit code, delete; a second kill finds nobody")
def kill(s):
    ctr(s, "task", "exec", "--exec-id", "e11", "web6", "true")
    ctr(s, "task", "kill", "-s", "TERM", "web6")
    await_that("it has stopped", lambda: status(s, "web6") == "STOPPED")
    expect_match("(?i)not found|already finished|no such process", ctr(s, "task", "kill", "-s", "TERM", "web6", code=1).err, "a second kill")
    expect_match("exit code 7", ctr(s, "task", "delete", "web6").err, "exit code")
    ctr(s, "container", "delete", "web6")
    expect([number for number in processes("^sleep 1000")], [], "processes")


@step("kill --all, an exec killed by its id, task delete -f of a running one")
def kill_more(s):
    detached(s, "web7", "sleep 1001 & sleep 1001 & wait")
    ctr(s, "task", "exec", "-d", "--exec-id", "e1", "web7", "sleep", "1002")
    ctr(s, "task", "kill", "-s", "KILL", "--exec-id", "e1", "web7")
    await_that("the exec is gone", lambda: not processes("^sleep 1002"))
    ctr(s, "task", "kill", "-a", "-s", "KILL", "web7")
    await_that("all are gone", lambda: not processes("^sleep 1001"))
    await_that("it has stopped", lambda: status(s, "web7") == "STOPPED")
    expect_match("exit code 137", ctr(s, "task", "delete", "web7").err, "exit code")
    ctr(s, "container", "delete", "web7")
    detached(s, "web8")
    ctr(s, "task", "delete", "-f", "web8", code=None)
    expect(status(s, "web8"), "gone", "task")
    ctr(s, "container", "delete", "web8")


@step("pause, resume: processes stand and go on")
def pause(s):
    detached(s, "web9", "while true; do date +%s%N > /tick; sleep 0.05; done")
    tick = pathlib.Path(f"/proc/{pid(s, 'web9')}/root/tick")
    await_that("it ticks", tick.exists)
    ctr(s, "task", "pause", "web9")
    expect(status(s, "web9"), "PAUSED", "status")
    first = tick.read_text()
    time.sleep(0.3)
    expect(tick.read_text(), first, "a paused container's clock")
    expect_match("(?i)paused", ctr(s, "task", "exec", "--exec-id", "e1", "web9", "true", code=1).err, "exec while paused")
    ctr(s, "task", "resume", "web9")
    await_that("it goes on", lambda: tick.read_text() != first)


@step("kill of a paused task ends it")
def kill_paused(s):
    ctr(s, "task", "pause", "web9")
    ctr(s, "task", "kill", "-s", "KILL", "web9")
    await_that("it has stopped, paused as it was", lambda: status(s, "web9") == "STOPPED")
    end(s, "web9")


@step("the same id again is refused, and does not touch the first")
def same_id(s):
    detached(s, "web10")
    expect_match("already exists", run(s, "web10", "true", code=1).err, "the id again")
    expect(status(s, "web10"), "RUNNING", "status")
    end(s, "web10")


@step("host's pid namespace: all processes die with the first")
def pid_host(s):
    # ctr has no option for it: the configuration is edited as its user would, by --config.
    config = json.loads(s.run(s.runtime, "spec", cwd=make("/srv/spec")).out or pathlib.Path("/srv/spec/config.json").read_text())
    config["root"] = {"path": unpacked(s), "readonly": False}
    config["process"].update(terminal=False, args=["sh", "-c", "sleep 1003 & sleep 1004"])
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] not in ("pid", "network")]
    config["linux"]["cgroupsPath"] = "/default/web11"
    pathlib.Path("/srv/spec/own.json").write_text(json.dumps(config))
    ctr(s, "run", "-d", *with_runtime(s), "--config", "/srv/spec/own.json", "web11")
    await_that("both run", lambda: processes("^sleep 1003") and processes("^sleep 1004"))
    os.kill(pid(s, "web11"), 9)
    await_that("all are gone", lambda: not processes("^sleep 100[34]"))
    await_that("it has stopped", lambda: status(s, "web11") == "STOPPED")
    end(s, "web11")


def make(path):
    os.makedirs(path, exist_ok=True)
    return path


def unpacked(s):
    s.run("sh", "-euc", "mkdir -p /srv/image /srv/rootfs; tar -xf /tmp/image.tar -C /srv/image; tar -xf /srv/image/layer.tar -C /srv/rootfs")
    return "/srv/rootfs"


@step("user namespace: the root file system is shifted or id-mapped")
def user_namespace(s):
    found = run(s, "web12", "sh", "-c", "cat /proc/self/uid_map; id -u; touch /mine && echo mine",
                options=["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "--remap-labels=false"]).out
    expect(found.split(), ["0", "100000", "65536", "0", "mine"], "the id map")


@step("an out-of-memory kill is an event of the task")
def oom(s):
    events = s.background("ctr", "events")
    time.sleep(0.5)
    run(s, "web13", "sh", "-c", "x=a; while true; do x=$x$x; done", options=["--memory-limit", str(16 << 20)], code=137)
    time.sleep(0.5)
    events.terminate()
    expect_match("/tasks/oom", events.communicate(timeout=10)[0], "the events")


@step("the shim dies: delete --force finds what it left")
def shim_dies(s):
    detached(s, "web14", "sleep 1005")
    for number in processes("containerd-shim.* -id web14"):
        os.kill(number, 9)
    await_that("containerd cleans up", lambda: not processes("^sleep 1005"))
    await_that("the task is gone", lambda: status(s, "web14") in ("gone", "STOPPED"))
    ctr(s, "task", "delete", "web14", code=None)
    ctr(s, "container", "delete", "web14")


@step("containerd restarts: the container goes on, and is found again")
def restart(s):
    detached(s, "web15", "sleep 1006")
    name, process, _ = s.daemons.pop()
    expect(name, "containerd", "the daemon")
    process.terminate()
    process.wait(20)
    expect(len(processes("^sleep 1006")), 1, "the container's program")
    s.daemon("containerd", "containerd", ready=lambda: ctr(s, "version", code=None).code == 0)
    expect(status(s, "web15"), "RUNNING", "status")
    expect(ctr(s, "task", "exec", "--exec-id", "e1", "web15", "echo", "again").out, "again", "exec")
    end(s, "web15")


@step("delete of all: no state, cgroup, process or mount is left")
def nothing(s):
    clean_up(s)
    await_that("no shim is left", lambda: not processes("containerd-shim"))
    left = s.traces("/web|/default/") + [f"process {number}" for number in processes("^sleep 100")]
    expect(left, [], "left")


if __name__ == "__main__":
    play(__file__)
