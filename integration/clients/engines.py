"""What docker and podman have in common: the same words for the same containers."""

import time

from stage import Terminal, await_that, expect


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
