#!/usr/bin/env python3
"""`make bench`: corten, Debian's crun and Debian's runc, interleaved in one run.

    benches/run.py [--rounds N] [--views v1,v2] [--no-strace]       RUNTIMES="corten crun runc"

What is measured: (a) `run /bin/true` and (b) create + start + wait + delete, each with the plain bundle (what `spec`
prints, no terminal) and with Docker's bundle (its 14 capabilities and its full seccomp profile).

Interleaved means: in every round each runtime has one turn, in an order that rotates, so that a noisy spell of the
machine hits all alike. CPU is user + system time of the runtime's process tree and of the container's init, as wait4
gives it: of every process that was reaped by its parent. In (b) this program is the child subreaper and reaps init.

crun refuses hosts that have controllers on cgroup v1 and on the cgroup v2 tree. So each view has its own mount
namespace: `v1` hides the unified tree, `v2` mounts a cgroup2 tree over all; nothing of this is seen outside.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CGROUPS = "/sys/fs/cgroup"
PARENT = f"corten-bench-{os.getpid()}"  # the cgroup that all containers live below; it is removed at the end
MEMORY_RUNS = 5
CAPABILITIES = ["CAP_" + name for name in (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE").split()]
SCENARIOS = {"run": "run /bin/true", "life": "create + start + wait + delete"}
BUNDLES = {"plain": "plain bundle", "docker": "Docker's seccomp profile and 14 capabilities"}


def main():
    options = arguments()
    if options.view:
        measure_view(options)
        return
    if os.geteuid() != 0:
        sys.exit("bench: needs root: it mounts cgroup trees in a private mount namespace")
    with tempfile.TemporaryDirectory(prefix="corten-bench.") as work:
        os.chmod(work, 0o755)
        names = prepare(work)
        for view in options.views:
            inside = ["--view", view, "--work", work, "--rounds", str(options.rounds)]
            inside += ["--no-strace"] if options.no_strace else []
            subprocess.run(
                ["unshare", "--mount", "--propagation", "private", sys.executable, os.path.abspath(__file__), *inside],
                env={**os.environ, "RUNTIMES": " ".join(names)}, check=True)


def arguments():
    parser = argparse.ArgumentParser(description="corten, crun and runc interleaved")
    parser.add_argument("--rounds", type=int, default=30, help="measured turns of each runtime (30)")
    parser.add_argument("--views", type=lambda text: text.split(","), default=views_of_host(), help="v1, v2 or v1,v2")
    parser.add_argument("--no-strace", action="store_true", help="do not count system calls")
    parser.add_argument("--view", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    return parser.parse_args()


def views_of_host():
    """A host with pure cgroup v2 has one view, all others have two."""
    return ["v2"] if os.path.exists(f"{CGROUPS}/cgroup.controllers") else ["v1", "v2"]


# ---- bundles ---------------------------------------------------------------------------------------------------------

def prepare(work):
    """Finds the runtimes and makes the two bundles; answers with NAME=PATH of each runtime that is there."""
    names = []
    for name in os.environ.get("RUNTIMES", "corten crun runc").split():
        path = find_runtime(name)
        if path is None:
            print(f"note: {name} is not usable here and is left out")
        else:
            names.append(f"{os.path.basename(name) if '/' in name else name}={path}")
    if not names:
        sys.exit("bench: no runtime to measure")
    rootfs = os.path.join(work, "rootfs")
    for directory in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        os.makedirs(os.path.join(rootfs, directory))
    shutil.copy(shutil.which("busybox"), os.path.join(rootfs, "bin/busybox"))
    os.link(os.path.join(rootfs, "bin/busybox"), os.path.join(rootfs, "bin/true"))
    for bundle in BUNDLES:
        directory = os.path.join(work, bundle)
        os.makedirs(directory)
        # One config.json for all: made by the first runtime that is there.
        subprocess.run([names[0].split("=", 1)[1], "spec"], cwd=directory, check=True)
        edit(os.path.join(directory, "config.json"), lambda config: configure(config, rootfs, bundle))
    return names


def find_runtime(name):
    """The path of a runtime by name or path, if it answers to --version."""
    ours = os.path.abspath(os.path.join(HERE, "../bin", name))
    if "/" in name:
        path = name
    elif os.path.exists(ours):
        path = ours
    else:
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        return None
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if answer.returncode != 0 or not answer.stdout.strip():
        return None
    print(f"{name}: {path}: {answer.stdout.splitlines()[0]}")
    return path


def configure(config, rootfs, bundle):
    config["ociVersion"] = "1.0.2"  # crun 1.8 refuses what it does not know
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/true"]
    config["root"] = {"path": rootfs, "readonly": True}
    if bundle == "docker":
        sets = config["process"]["capabilities"]
        for kind in ("bounding", "effective", "permitted"):
            sets[kind] = CAPABILITIES
        sets.pop("ambient", None)
        sets.pop("inheritable", None)
        with open(os.path.join(HERE, "seccomp-docker.json"), encoding="utf-8") as file:
            config["linux"]["seccomp"] = json.load(file)


def edit(path, change):
    """Reads a config.json, lets `change` alter it, and writes it."""
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    change(config)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


# ---- one view --------------------------------------------------------------------------------------------------------

def measure_view(options):
    become_subreaper()
    set_up_view(options.view)
    runtimes = dict(pair.split("=", 1) for pair in os.environ["RUNTIMES"].split())
    bench = Bench(options.work, options.view)
    try:
        if options.view == "v2":
            drop_device_rules(options.work)
        usable = {name: path for name, path in runtimes.items() if bench.works(name, path)}
        for scenario in SCENARIOS:
            for bundle in BUNDLES:
                report(bench, options, usable, scenario, bundle)
    finally:
        bench.clean()


def become_subreaper():
    """A container's init is reparented to us when its `create` ends, so that wait4 tells what it used."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        sys.exit("bench: cannot become child subreaper")


def set_up_view(view):
    if view == "v1":
        if os.path.ismount(f"{CGROUPS}/unified"):
            subprocess.run(["umount", f"{CGROUPS}/unified"], check=True)
            # crun makes directories and files here even without a cgroup2 mount: they go away with this namespace.
            subprocess.run(["mount", "-t", "tmpfs", "none", f"{CGROUPS}/unified"], check=True)
        if not os.path.isdir(f"{CGROUPS}/memory"):
            sys.exit("bench: no cgroup v1 hierarchy here")
    elif not os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        subprocess.run(["mount", "-t", "cgroup2", "none", CGROUPS], check=True)


def drop_device_rules(work):
    """crun 1.8 raises RLIMIT_MEMLOCK for its device program, which needs CAP_SYS_RESOURCE: not every root has it."""
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] == resource.RLIM_INFINITY
    if unlimited or has_capability(24):
        return
    print("note: without CAP_SYS_RESOURCE crun loads no device programs: the v2 view is measured without device rules")
    for bundle in BUNDLES:
        edit(os.path.join(work, bundle, "config.json"), lambda config: config["linux"].pop("resources", None))


def has_capability(number):
    with open("/proc/self/status", encoding="ascii") as file:
        effective = re.search(r"CapEff:\s*([0-9a-f]+)", file.read()).group(1)
    return int(effective, 16) >> number & 1 == 1


def report(bench, options, runtimes, scenario, bundle):
    turns = {name: [] for name in runtimes}
    order = list(runtimes)
    for turn in range(options.rounds + 2):
        for name in order[turn % len(order):] + order[:turn % len(order)]:
            cost = bench.turn(runtimes[name], scenario, bundle)
            if turn >= 2:  # two turns to warm the caches (crun keeps compiled filters)
                turns[name].append(cost)
    print(f"\n{SCENARIOS[scenario]}, {BUNDLES[bundle]}, cgroup {bench.view} view, {options.rounds} rounds (ms)")
    print(f"{'':14}{'wall min':>9}{'med':>9}{'ratio':>8}{'cpu med':>9}{'ratio':>8}{'peak KiB':>10}{'calls':>7}"
          f"{'faults':>8}{'switches':>9}")
    rows = {name: summary(costs) for name, costs in turns.items()}
    base = rows.get("crun")
    for name, row in rows.items():
        memory = bench.peak_memory(runtimes[name], scenario, bundle)
        calls = "-" if options.no_strace else bench.system_calls(runtimes[name], scenario, bundle)
        wall, cpu = (ratio(row, base, key) for key in ("median", "cpu"))
        print(f"{name:14}{row['min']:9.2f}{row['median']:9.2f}{wall:>8}{row['cpu']:9.2f}{cpu:>8}{memory:>10}{calls:>7}"
              f"{row['faults']:8.0f}{row['switches']:9.0f}", flush=True)


def summary(costs):
    return {
        "min": min(cost.wall for cost in costs) * 1e3,
        "median": statistics.median(cost.wall for cost in costs) * 1e3,
        "cpu": statistics.median(cost.cpu for cost in costs) * 1e3,
        "faults": statistics.median(cost.faults for cost in costs),
        "switches": statistics.median(cost.switches for cost in costs),
    }


def ratio(row, base, key):
    """Against crun; a dash where crun is not measured."""
    return f"{row[key] / base[key]:.2f}" if base else "-"


class Cost:
    """What one turn used, summed over its processes."""

    def __init__(self):
        self.wall = self.cpu = 0.0
        self.faults = self.switches = 0

    def add(self, usage):
        self.cpu += usage.ru_utime + usage.ru_stime
        self.faults += usage.ru_minflt
        self.switches += usage.ru_nvcsw + usage.ru_nivcsw


class Bench:
    """One view: runs the scenarios, and removes what runtimes leave."""

    def __init__(self, work, view):
        self.work, self.view = work, view
        self.root = os.path.join(work, f"root-{view}")
        self.count = 0
        self.runtimes = set()
        self.null = os.open("/dev/null", os.O_RDWR)
        self.peak_unit = self.calibrate()
        for hierarchy in hierarchies():
            os.makedirs(os.path.join(hierarchy, PARENT), exist_ok=True)

    def works(self, name, path):
        """One try of each bundle, so that a runtime that refuses this host is named with its reason."""
        self.runtimes.add(path)
        for bundle in BUNDLES:
            container, directory = self.fresh(bundle)
            answer = subprocess.run([path, "--root", self.root, "run", "--bundle", directory, container],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if answer.returncode != 0:
                print(f"note: {name} is left out of the {self.view} view: {answer.stderr.strip()}")
                return False
        return True

    def fresh(self, bundle):
        """A new container id, and the bundle's directory with a config.json that names its cgroup."""
        self.count += 1
        container = f"bench-{os.getpid()}-{self.count}"
        directory = os.path.join(self.work, bundle)
        cgroup = f"/{PARENT}/{container}"
        edit(os.path.join(directory, "config.json"), lambda config: config["linux"].update(cgroupsPath=cgroup))
        return container, directory

    def commands(self, path, scenario, bundle):
        """The calls of a scenario: (argument list, whether to wait for the container's init after it)."""
        container, directory = self.fresh(bundle)
        runtime = [path, "--root", self.root]
        if scenario == "run":
            return container, [(runtime + ["run", "--bundle", directory, container], False)]
        pid_file = os.path.join(self.work, "pid")
        return container, [
            (runtime + ["create", "--bundle", directory, "--pid-file", pid_file, container], False),
            (runtime + ["start", container], True),
            (runtime + ["delete", container], False),
        ]

    def turn(self, path, scenario, bundle):
        container, commands = self.commands(path, scenario, bundle)
        cost = Cost()
        begin = time.perf_counter()
        for command, ends_with_init in commands:
            self.wait(self.spawn(command), command, cost)
            if ends_with_init:
                self.wait(self.init_pid(), command, cost)
        cost.wall = time.perf_counter() - begin
        self.reap_strangers(cost)
        return cost

    def spawn(self, command):
        actions = [(os.POSIX_SPAWN_DUP2, self.null, descriptor) for descriptor in (0, 1)]
        return os.posix_spawn(command[0], command, os.environ, file_actions=actions)

    def init_pid(self):
        with open(os.path.join(self.work, "pid"), encoding="ascii") as file:
            return int(file.read())

    @staticmethod
    def wait(pid, command, cost):
        _, status, usage = os.wait4(pid, 0)
        cost.add(usage)
        if status != 0:
            sys.exit(f"bench: {' '.join(command)}: wait status {status}")

    @staticmethod
    def reap_strangers(cost):
        """Processes of a runtime that outlive it: they were its children and are ours now."""
        try:
            while True:
                pid, _, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                cost.add(usage)
        except ChildProcessError:
            return

    def peak_memory(self, path, scenario, bundle):
        """The largest process of the tree, in KiB, at the least that of busybox's `time` itself (1.3 MiB).

        A child starts with its parent's peak, and Python's is large: so `time` stands between.
        """
        peaks = []
        for _ in range(MEMORY_RUNS):
            _, commands = self.commands(path, scenario, bundle)
            peak = 0
            for command, ends_with_init in commands:
                peak = max(peak, self.peak_of(command))
                if ends_with_init:
                    os.waitpid(self.init_pid(), 0)
            peaks.append(peak)
        return round(statistics.median(peaks) / self.peak_unit)

    def peak_of(self, command):
        """What busybox's `time` says of a command; into a file, for a pipe would be inherited by the container."""
        output = os.path.join(self.work, "peak")
        timed = ["busybox", "time", "-o", output, "-f", "%M", *command]
        subprocess.run(timed, stdin=self.null, stdout=self.null, check=True)
        with open(output, encoding="ascii") as file:
            return int(file.read())

    def calibrate(self):
        """1, or 4 with the busybox versions that print the peak in units of 256 bytes."""
        command = [sys.executable, "-c", "pass"]
        pid = os.posix_spawn(command[0], command, os.environ)
        return 4 if self.peak_of(command) > 2 * os.wait4(pid, 0)[2].ru_maxrss else 1

    def system_calls(self, path, scenario, bundle):
        """How many system calls the scenario makes, the container's init and its /bin/true included."""
        container, commands = self.commands(path, scenario, bundle)
        pid_file = os.path.join(self.work, "pid")
        if os.path.exists(pid_file):
            os.unlink(pid_file)
        tables = [os.path.join(self.work, f"strace.{number}") for number in range(len(commands))]
        create = None
        for table, (command, ends_with_init) in zip(tables, commands):
            tracer = subprocess.Popen(strace(command, table), stdin=self.null, stdout=self.null)
            if "create" in command:
                create = tracer  # strace follows the container's init, so it ends when that does
                self.wait_until_created(path, container)
            elif tracer.wait() != 0:
                sys.exit(f"bench: {' '.join(command)} failed under strace")
            if ends_with_init:
                create.wait()
        return sum(calls_in(table) for table in tables)

    def wait_until_created(self, path, container):
        for _ in range(1000):
            answer = subprocess.run([path, "--root", self.root, "state", container], capture_output=True, text=True)
            if answer.returncode == 0 and json.loads(answer.stdout)["status"] == "created":
                return
            time.sleep(0.01)
        sys.exit(f"bench: {container} was not created under strace")

    def clean(self):
        """Removes containers and cgroups that are left; says so, for none should be."""
        for path in self.runtimes:
            listed = subprocess.run([path, "--root", self.root, "list", "-q"], capture_output=True, text=True)
            for container in listed.stdout.split():
                print(f"note: removing {container}, which was left")
                subprocess.run([path, "--root", self.root, "delete", "--force", container], check=False)
        for directory in sorted(cgroups_below(PARENT), key=len, reverse=True):
            if os.path.basename(directory) != PARENT:
                print(f"note: removing {directory}, which was left")
            try:
                os.rmdir(directory)
            except OSError as error:
                print(f"note: {error}")


def strace(command, table):
    return ["strace", "-f", "-c", "-U", "calls,name", "-o", table, *command]


def calls_in(table):
    with open(table, encoding="utf-8") as file:
        return int(re.search(r"(\d+)\s+total", file.read()).group(1))


def hierarchies():
    """The root of each cgroup tree of this view."""
    if os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        return [CGROUPS]
    names = (os.path.join(CGROUPS, name) for name in os.listdir(CGROUPS))
    return sorted({os.path.realpath(name) for name in names if os.path.exists(f"{name}/tasks")})


def cgroups_below(name):
    """The cgroup of that name in each hierarchy, and all below it."""
    return {directory for hierarchy in hierarchies() for directory, _, _ in os.walk(os.path.join(hierarchy, name))}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
