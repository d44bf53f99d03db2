"""What docker and podman have in common: the same words for the same containers."""

import os
import pathlib
import time

from stage import Terminal, await_that, expect, expect_match


def plain(run, image):
    """`run --rm`: output, input, exit code, environment, working directory, user."""
    expect(run(image, "echo", "hello").out, "hello", "output")
    expect(run("-i", image, "cat", stdin="from outside\n").out, "from outside", "input")
    run(image, "sh", "-c", "exit 42", code=42)
    found = run("-e", "A=b c", "-w", "/tmp", "-u", "user", image, "sh", "-c", "echo $A $PWD; id").out
    expect_match(r"b c /tmp\nuid=1000\(user\) gid=1000\(user\) groups=.*2000\(more\)", found, "environment, directory, user")
    result = run(image, "sh", "-c", "echo one; echo two >&2")
    expect((result.out, result.err), ("one", "two"), "both outputs apart")


def hardened(run, image, forward, more=()):
    """`run --rm` with a read-only root, mounts, a tmpfs, a hostname, capabilities, limits of resources, and a sysctl of this value."""
    os.makedirs("/srv/data", exist_ok=True)
    pathlib.Path("/srv/data/file").write_text("content\n")
    found = run("--read-only", "--tmpfs", "/scratch:size=1m", "-v", "/srv/data:/data:ro", "--hostname", "box", "--cap-drop=all",
                "--cap-add=net_bind_service", "--ulimit", "nofile=100:200", "--sysctl", f"net.ipv4.ip_forward={forward}",
                "--security-opt", "no-new-privileges", *more, image, "sh", "-c",
                "touch /x 2>&1; touch /scratch/x && echo scratch; cat /data/file; touch /data/y 2>&1; hostname; ulimit -n;"
                "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; cat /proc/sys/net/ipv4/ip_forward").out
    expect(found.split("\n"),
           ["touch: /x: Read-only file system", "scratch", "content", "touch: /data/y: Read-only file system", "box", "100",
            "CapEff:\t0000000000000400", "NoNewPrivs:\t1", "Seccomp:\t2", str(forward)], "what the container sees")


def interactive(*words):
    """`run -it … sh` on a terminal of 30 lines and 90 columns: the size that it has at first, and a resize; ^C; the exit code."""
    t = Terminal(*words, rows=30, columns=90)
    t.expect(r"/ # ")
    await_that("the size arrives", lambda: "30 90" in t.size())
    t.resize(40, 120)
    await_that("the resize arrives", lambda: "40 120" in t.size())
    t.send("sleep 1000\n")
    time.sleep(0.5)
    t.send("\x03")
    t.expect(r"/ # ")
    t.send("exit 5\n")
    t.end(5)


def exec_in(s, engine, name):
    """`exec` in a running container: output, exit code, input, user, environment, directory, terminal, detached, privileged."""
    def execute(*words, **more):
        return s.run(engine, "exec", *words, **more)

    expect(execute(name, "echo", "inside").out, "inside", "output")
    execute(name, "sh", "-c", "exit 9", code=9)
    expect(execute("-i", name, "cat", stdin="to exec\n").out, "to exec", "input")
    found = execute("-u", "1000:2000", "-e", "K=v", "-w", "/tmp", name, "sh", "-c", "id -u; id -g; echo $K; pwd").out
    expect(found.split(), ["1000", "2000", "v", "/tmp"], "user, environment, directory")
    t = Terminal(engine, "exec", "-it", name, "sh")
    t.expect(r"/ # ")
    t.send("tty && exit 3\n")
    t.expect(r"/dev/pts/\d")
    t.end(3)
    execute("-d", name, "sh", "-c", "echo done > /tmp/detached")
    await_that("the detached exec has written", lambda: execute(name, "cat", "/tmp/detached", code=None).out == "done")
    execute("--privileged", name, "true")
