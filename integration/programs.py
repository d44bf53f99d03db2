"""The test programs: built once, and then each test of them run alone."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Longer than any test waits by itself.
DEADLINE_S = 90
AT_A_TIME = max(4, 2 * (os.cpu_count() or 1))


def build(names):
    """The test programs of these names: their files by their names."""
    words = ["cargo", "test", "--quiet", "--locked", "--no-run", "--message-format", "json",
             *[word for name in sorted(names) for word in ("--test", name)]]
    output = subprocess.run(words, cwd=ROOT, text=True, check=True, stdout=subprocess.PIPE).stdout
    told = [json.loads(line) for line in output.splitlines()]
    return {one["target"]["name"]: one["executable"] for one in told if one.get("executable") and one["profile"]["test"]}


def run(program, test, environment, clear_up=lambda pid: None):
    """Whether a test passes with more in its environment, and what it says; one that hangs is killed, and cleared up behind."""
    # A file, not a pipe: what the test has started may outlive it.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen([program, "--exact", test, "--nocapture"], cwd=ROOT, env={**os.environ, **environment},
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            clear_up(process.pid)
        output.seek(0)
        said = output.read()
    return process.returncode == 0 and "1 passed" in said, said
