#!/usr/bin/python3
"""Plays the scenarios with RUNTIME and, beside it, with the peers; prints a table of their steps.

    integration/clients/run.py [--peers LIST] [CLIENT...]

CLIENT: podman, containerd, docker, buildah, cri; all by default. --peers: runtimes to compare with, separated by
commas; those of runc and crun that are installed by default, and none for another RUNTIME than corten. It fails when a
step fails with RUNTIME, whoever else fails too, and when something is left on the machine.
"""

import argparse
import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = [name for name in ("podman", "containerd", "docker", "buildah", "cri") if (HERE / f"{name}.py").exists()]
Step = collections.namedtuple("Step", "verdict reason")


class Interrupted(BaseException):
    """A signal asks for the end."""


def interrupt(number, _):
    raise Interrupted(number)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--peers")
    parser.add_argument("clients", nargs="*", metavar="CLIENT", choices=[*CLIENTS, []], default=[])
    arguments = parser.parse_args()
    tested = pathlib.Path(os.environ.get("RUNTIME") or HERE.parents[1] / "bin/corten")
    if not shutil.which(tested):
        sys.exit(f"run.py: RUNTIME={tested}: no program")
    if arguments.peers is None:
        peers = [name for name in ("runc", "crun") if tested.name == "corten" and shutil.which(name)]
    else:
        peers = [name for name in arguments.peers.split(",") if name != "none"]
        for missing in (name for name in peers if not shutil.which(name)):
            sys.exit(f"run.py: --peers {missing}: no program")
    runtimes = [str(tested), *peers]
    failed = False
    for client in arguments.clients or CLIENTS:
        results = {runtime: play(client, runtime) for runtime in runtimes}
        table(client, results)
        failed |= tell(client, results, str(tested))
    return 1 if failed else 0


def play(client, runtime):
    """Plays one scenario; its steps by name, and what it says about itself as a whole under the name `all`."""
    environment = dict(os.environ, RUNTIME=runtime)
    process = subprocess.Popen([HERE / f"{client}.py"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        said, _ = process.communicate()
    except Interrupted as interrupted:
        # The scenario takes away what it has on the machine, which is longer than a moment.
        process.terminate()
        process.communicate()
        sys.exit(128 + interrupted.args[0])
    steps, last = {}, None
    for line in said.splitlines():
        found = re.match(r"(ok|not ok) \d+ - (.*?)(?: # SKIP (.*))?$", line)
        if found:
            last = found[2]
            steps[last] = Step("skipped" if found[3] else "passed" if found[1] == "ok" else "FAILED", found[3] or "")
        elif last and line.startswith("#   "):
            steps[last] = steps[last]._replace(reason=f"{steps[last].reason}\n{line[4:]}".strip())
        elif not re.match(r"TAP version|1\.\.", line):
            print(f"    {client}, {os.path.basename(runtime)}: {line}")
    if process.returncode and not any(step.verdict == "FAILED" for step in steps.values()):
        steps["all"] = Step("FAILED", f"the scenario ended with {process.returncode}")
    return steps


def table(client, results):
    names = list(dict.fromkeys(name for steps in results.values() for name in steps))
    width = max(map(len, names), default=0)
    print(f"\n{client:{width}}  " + "  ".join(f"{os.path.basename(runtime):8}" for runtime in results))
    for name in names:
        verdicts = [steps.get(name, Step("-", "")).verdict for steps in results.values()]
        print(f"{name:{width}}  " + "  ".join(f"{verdict:8}" for verdict in verdicts).rstrip(), flush=True)


def tell(client, results, tested):
    """The reasons and one line of numbers a runtime; whether the tested one has failed."""
    for runtime, steps in results.items():
        name = os.path.basename(runtime)
        for title, step in steps.items():
            if step.verdict == "FAILED" or (step.verdict == "skipped" and runtime == tested):
                print(f"\n    {name}: {title}: {step.verdict}\n      " + step.reason.replace("\n", "\n      "))
    print()
    for runtime, steps in results.items():
        counts = collections.Counter(step.verdict for step in steps.values())
        print(f"integration-{client}-{os.path.basename(runtime)}: {counts['passed']} passed, {counts['FAILED']} failed, "
              f"{counts['skipped']} skipped", flush=True)
    return any(step.verdict == "FAILED" for step in results[tested].values())


if __name__ == "__main__":
    sys.exit(main())
