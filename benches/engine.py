#!/usr/bin/env python3
"""`make bench-engine`: ocictl beside Debian's podman, docker, containerd, skopeo and umoci, as far as they are installed and start.

    benches/engine.py [--rounds N] [--image debian|usr] [--megabytes N] [--containers N] [--images N] [--running N] [--only WORD,WORD...]
                      [--work images|containers] [--disk ext4|host]
        OCICTL=, PODMAN=, DOCKER=, DOCKERD=, CTR=, CONTAINERD= name other programs; --containers 0 and the like leave that part out

Everything is played in namespaces of its own (integration/clients/stage.py): daemons, stores, cgroups and a docker-registry on
loopback, which end with it. What they keep is on an ext4 made and mounted by default, in a file; or, with --disk host, on this machine's
own, where options like `discard` may make removing slow for all of them.

Interleaved: in every round each program has one turn at each piece of work, in an order that rotates. CPU, the first number, is that of a
cgroup (cpuacct, or cpu.stat on v2): client, daemon, shims, runtime and containers, without the registry, the daemons of others and this script.
Ratios and goals are of the minimum of all rounds, since this is not the only thing that a machine does. A goal is CPU unless it says otherwise.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import resource
import select
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration/clients")]

import image  # noqa: E402
import peers  # noqa: E402
import stage  # noqa: E402

# Work, measure, peer, at most: the table of the goals.
GOALS = [
    ("cold pull", "cpu", "podman", 0.25), ("cold pull", "cpu", "containerd", 0.7), ("cold pull", "written", "podman", 0.7),
    ("remove and prune", "wall", "podman", 0.05), ("warm pull", "cpu", "podman", 0.3),
    ("run --rm", "cpu", "podman", 0.25), ("run --rm", "cpu", "containerd", 0.3),
    ("exec", "cpu", "podman", 0.3), ("run -d", "cpu", "podman", 0.3), ("stop", "cpu", "podman", 0.3), ("rm -f", "cpu", "podman", 0.3),
    ("ps", "cpu", "podman", 0.25), ("inspect", "cpu", "podman", 0.25), ("images", "cpu", "podman", 0.25), ("logs", "cpu", "podman", 0.25),
    ("ps -a of many", "cpu", "podman", 0.1), ("create with many", "cpu", "podman", 1.0), ("images of many", "cpu", "podman", 1.0),
]
MOST = {"cold pull": ("peak", 32 << 20, "peak memory, bytes"), "rm -f": ("waits", 0.1, "seconds of waiting")}
# Of what is slow with many containers or images; podman takes a minute for each `images` of many.
TURNS = 3
MONITORS = {"podman": "conmon of podman", "docker": "containerd-shim of docker", "containerd": "containerd-shim of ctr"}
OPTIONS = json.loads(os.environ.get("BENCH_ENGINE", "{}"))


def main():
    if os.environ.get("STAGE"):
        stage.play(__file__)
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", choices=("debian", "usr"), default="debian", help="that is pulled: Debian with Python, or this machine's /usr")
    parser.add_argument("--megabytes", type=int, default=300, help="of /usr, uncompressed")
    parser.add_argument("--disk", choices=("ext4", "host"), default="ext4", help="where all keep what they have")
    parser.add_argument("--work", choices=("all", "images", "containers"), default="all")
    parser.add_argument("--containers", type=int, default=500, help="that `ps -a` lists")
    parser.add_argument("--images", type=int, default=500, help="that `images` lists")
    parser.add_argument("--running", type=int, default=100, help="whose monitors' memory is added up")
    parser.add_argument("--only", default="", help="programs beside ocictl, by commas")
    arguments = parser.parse_args()
    if arguments.image == "debian":
        image.make_debian()  # Outside: the stage has no network.
    os.environ["STAGE_DISK"] = arguments.disk
    os.environ["BENCH_ENGINE"] = json.dumps(vars(arguments))
    # crun, which podman runs, refuses both kinds of cgroups at once: by its name the stage has version 1 alone.
    os.environ["RUNTIME"] = "crun"
    sys.argv[1:] = []
    stage.play(__file__)


@stage.step("ocictl beside its peers")
def measure_all(s):
    bench = Bench(s)
    errors = 0
    if OPTIONS["work"] != "containers":
        bench.work_on_images(OPTIONS["rounds"])
    if OPTIONS["work"] != "images":
        bench.work_on_containers(OPTIONS["rounds"])
        bench.many_containers(OPTIONS["containers"])
    # Behind what lists images, too.
    if OPTIONS["work"] != "containers":
        bench.many_images(OPTIONS["images"])
    if OPTIONS["work"] != "images":
        bench.monitors(OPTIONS["running"])
        errors = bench.parallel(16, 20)
        print(f"# 16 parallel x 20 run --rm: {errors} errors (goal: 0)", flush=True)
    missed, unmeasured = bench.report()
    print(f"# goals missed: {missed + bool(errors)}, not measured: {unmeasured}", flush=True)


class Sample:
    """What a command has cost."""

    def __init__(self, cpu, wall, peak, written, waits):
        self.cpu, self.wall, self.peak, self.written, self.waits = cpu, wall, peak, written, waits

    def and_then(self, other):
        return Sample(self.cpu + other.cpu, self.wall + other.wall, max(self.peak, other.peak), self.written + other.written,
                      self.waits + other.waits)


class Bench:
    """The stage with the registry, the programs, and what was measured: {work: {program: [Sample]}}."""

    def __init__(self, s):
        self.stage, self.meter, self.results, self.private = s, Meter(), {}, {}
        print("# making an image of six layers…", flush=True)
        registry = self.apart("registry")
        with registry:
            address = s.registry()
        os.makedirs("/srv/work")
        # As /var/tmp is: on the disk, so that what is written on the way counts.
        os.makedirs("/srv/tmp")
        os.environ["TMPDIR"] = "/srv/tmp"
        layers = image.debian_layers() if OPTIONS["image"] == "debian" else image.own_layers(OPTIONS["megabytes"])
        self.image, size = image.publish("/srv/work", address, layers)
        stage.image_archive("/srv/work/busybox.tar", "localhost/busybox:1")
        self.peers = []
        wanted = [word for word in OPTIONS["only"].split(",") if word]
        for peer in (kind(self) for kind in peers.ALL):
            if wanted and peer.name not in wanted and peer.name != "ocictl":
                continue
            self.add(peer)
        print(f"# {size}; {', '.join(peer.name for peer in self.peers)}", flush=True)

    def add(self, peer):
        if not peer.present():
            print(f"# {peer.name}: not installed", flush=True)
            return
        try:
            peer.start()
            peer.load("/srv/work/busybox.tar")
        except stage.Failed as failed:
            print(f"# {peer.name} does not work here: {str(failed).splitlines()[0][:200]}", flush=True)
            return
        self.peers.append(peer)

    # ---- what programs use ----

    def run(self, *words):
        return self.stage.run(*words, code=None, timeout=600)

    def ok(self, *words):
        return self.stage.run(*words, timeout=600).out

    def apart(self, name):
        return self.meter.apart(name)

    def daemon(self, name, *words, ready):
        with self.apart(name):
            self.stage.daemon(name, *words, ready=lambda: self.run(*ready).code == 0)
        return name

    # ---- measuring ----

    def measure(self, peer, words):
        """Runs a command; what it, and all that it had done by daemons, has cost."""
        # What came before has ended.
        time.sleep(0.05)
        cpu, written, start = self.meter.read(peer.daemons), io_of("self"), time.monotonic()
        with open(os.devnull, "r+b") as null, open("/srv/work/stderr", "w+b") as errors:
            pid = os.posix_spawnp(words[0], words, os.environ, file_actions=[
                (os.POSIX_SPAWN_DUP2, null.fileno(), 0), (os.POSIX_SPAWN_DUP2, null.fileno(), 1), (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)])
            status, peak = wait(pid)
            wall, busy = time.monotonic() - start, self.meter.read(peer.daemons) - cpu
            if status:
                errors.seek(0)
                raise stage.Failed(f"{' '.join(words)}: {errors.read().decode(errors='replace')[-500:]}")
        # What is done behind the caller's back counts, too.
        time.sleep(0.15)
        # What a daemon writes is not counted with its client.
        written = float("nan") if peer.daemons else io_of("self") - written
        # Who has waited has used no processor until then; what is used afterwards is no waiting.
        return Sample(self.meter.read(peer.daemons) - cpu, wall, peak, written, max(wall - busy, 0))

    def turn(self, peer, kind, name="", record="", then=""):
        """One measured turn of a program, if it knows that piece of work; and what belongs to it, if it knows that."""
        words = peer.words(kind, name)
        if words is None:
            return
        sample = self.measure(peer, words)
        if then and peer.words(then, name):
            sample = sample.and_then(self.measure(peer, peer.words(then, name)))
        self.results.setdefault(record or kind, {}).setdefault(peer.name, []).append(sample)

    def rounds(self, count, what, play, among=None):
        among = self.peers if among is None else among
        for number in range(count):
            for peer in among[number % len(among):] + among[:number % len(among)]:
                try:
                    play(peer, number)
                except stage.Failed as failed:
                    print(f"# {peer.name}: {str(failed)[:300]}", flush=True)
                    if peer.name == "ocictl":
                        raise
            print(f"# {what}: round {number + 1} of {count}", flush=True)

    def work_on_images(self, rounds):
        def play(peer, _):
            self.turn(peer, "cold pull")
            self.turn(peer, "warm pull")
            # Who removes an image has had it for a while: it is on the disk.
            os.sync()
            self.turn(peer, "remove", record="remove and prune", then="prune")
        self.rounds(rounds, "images", play)

    def work_on_containers(self, rounds):
        def play(peer, number):
            if not peer.words("run --rm"):
                return
            name, deaf = f"web{number}", f"deaf{number}"
            self.turn(peer, "run --rm")
            self.turn(peer, "run -d", name)
            for kind in ("exec", "ps", "inspect", "images"):
                self.turn(peer, kind, name)
            self.turn(peer, "logs", name)
            self.turn(peer, "stop", name)
            if peer.words("run -d deaf", deaf):
                self.ok(*peer.words("run -d deaf", deaf))
                self.turn(peer, "rm -f", deaf)
            peer.forget()
        self.rounds(rounds, "containers", play)

    def some(self):
        """The two of whom much is asked."""
        return [peer for peer in self.peers if peer.name in ("ocictl", "podman")]

    def many_containers(self, count):
        if not count:
            return

        def last(peer, number):
            self.turn(peer, "create", f"last{number}", "create with many")
            self.turn(peer, "ps -a", record="ps -a of many")
        self.rounds(TURNS, "the first containers", lambda peer, number: self.turn(peer, "create", f"first{number}", "create as the first"),
                    self.some())
        for peer in self.some():
            for number in range(count):
                self.ok(*peer.words("create", f"many{number}"))
            print(f"# {peer.name}: {count} containers", flush=True)
        self.rounds(TURNS, "many containers", last, self.some())
        for peer in self.some():
            peer.forget()

    def many_images(self, count):
        if not count:
            return
        image.many("/srv/work/many.tar", count)
        for peer in self.some():
            self.ok(*peer.base, "load", "-q", "-i", "/srv/work/many.tar")
        self.rounds(TURNS, "many images", lambda peer, _: self.turn(peer, "images", record="images of many"), self.some())

    def monitors(self, count):
        """Private memory of what looks after running containers, all of them added up."""
        for peer in self.peers if count else []:
            if not peer.words("run -d", "x"):
                continue
            try:
                for number in range(count):
                    self.ok(*peer.words("run -d", f"running{number}"))
                sums = [private_bytes(peer.monitor(f"running{number}")) for number in range(count)]
                self.private[peer.name] = (sum(sums), count)
                peer.forget()
            except stage.Failed as failed:
                print(f"# {peer.name}: {str(failed)[:300]}", flush=True)

    def parallel(self, width, each):
        """So many at once, so often; how many have failed."""
        words = self.peers[0].words("run --rm")
        def one(_):
            return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            failed = [done for done in pool.map(one, range(width * each)) if done.returncode]
        for done in failed[:3]:
            print(f"# {done.stderr.decode(errors='replace')[:300]}", flush=True)
        return len(failed)

    # ---- telling ----

    def report(self):
        """Prints the table; how many goals are missed, and how many nobody has measured."""
        missed = 0
        line = "{:<20}{:<12}{:>9}{:>9}{:>9}{:>11}{:>9}  {}"
        print(line.format("work", "program", "cpu min", "median", "wall min", "written MB", "cpu of it", "goal"))
        for kind, programs in self.results.items():
            own = programs.get("ocictl")
            for name, samples in programs.items():
                verdicts = self.verdicts(kind, name, own, samples)
                missed += sum("missed" in verdict for verdict in verdicts)
                ratio = f"{least(own, 'cpu') / max(least(samples, 'cpu'), 1e-4):.2f}" if own and name != "ocictl" else ""
                print(line.format(kind, name, f"{least(samples, 'cpu'):.4f}", f"{statistics.median(s.cpu for s in samples):.4f}",
                                  f"{least(samples, 'wall'):.3f}", f"{least(samples, 'written') / 1e6:.1f}".replace("nan", "-"), ratio, "; ".join(verdicts)))
        missed += self.report_memory() + self.report_growth()
        unmeasured = self.unmeasured()
        for words in unmeasured:
            print(f"{words}: not measured")
        sys.stdout.flush()
        return missed, len(unmeasured)

    def unmeasured(self):
        """The goals that have no number, since a program did not run or a part was left out."""
        has = lambda kind, *names: all(self.results.get(kind, {}).get(name) for name in names)  # noqa: E731
        found = [f"{kind}, {measure} beside {peer}" for kind, measure, peer, _ in GOALS if not has(kind, "ocictl", peer)]
        found += [f"{kind}, {words}" for kind, (_, _, words) in MOST.items() if not has(kind, "ocictl")]
        if not {"ocictl", "podman"} <= set(self.private):
            found.append("private memory of monitors beside podman")
        if not (has("create as the first", "ocictl") and has("create with many", "ocictl")):
            found.append("create with many beside the first")
        return found

    @staticmethod
    def verdicts(kind, name, own, samples):
        found = []
        for goal_kind, measure, peer, most in GOALS:
            if own and (kind, name) == (goal_kind, peer):
                ratio = least(own, measure) / max(least(samples, measure), 1e-4)
                found.append(f"{measure} {ratio:.3f} <= {most} {'ok' if ratio <= most else 'missed'}")
        if name == "ocictl" and kind in MOST:
            measure, most, words = MOST[kind]
            value = least(samples, measure)
            found.append(f"{words} {value:.3g} <= {most:.3g} {'ok' if value <= most else 'missed'}")
        return found

    def report_memory(self):
        missed = 0
        for name, (value, count) in self.private.items():
            ratio = self.private.get("ocictl", (0, 0))[0] / value
            goal = f"{ratio:.2f} <= 0.6 {'ok' if ratio <= 0.6 else 'missed'}" if name == "podman" else "" if name == "ocictl" else f"{ratio:.2f}"
            missed += "missed" in goal
            line = f"{value / count / 1024:.0f} kB a container, {value / 1e6:.1f} MB of {count} that run"
            print(f"{'monitors, private':<20}{MONITORS.get(name, name):<26}{line}  {goal}")
        return missed

    def report_growth(self):
        first, last = (self.results.get(kind, {}).get("ocictl") for kind in ("create as the first", "create with many"))
        if not first or not last:
            return 0
        ratio = least(last, "cpu") / least(first, "cpu")
        print(f"create with many beside the first: {ratio:.2f} <= 1.2 {'ok' if ratio <= 1.2 else 'missed'}")
        return int(ratio > 1.2)


def wait(pid):
    """The status that a process ends with, and the most memory that it was seen with (VmHWM).

    Not wait4's: that counts what this script has had, whose memory the child shared until it was another program.
    """
    peak, pidfd = 0, os.pidfd_open(pid)
    while True:
        ended, _, _ = select.select([pidfd], [], [], 0.002)
        if ended:
            os.close(pidfd)
            return os.waitpid(pid, 0)[1], peak
        try:
            lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
            peak = max(peak, next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0))
        except OSError:
            pass


def least(samples, measure):
    return min(getattr(sample, measure) for sample in samples)


class Meter:
    """CPU seconds of the stage, and of groups in it that are counted apart."""

    def __init__(self):
        self.root = next((point for point in stage.cgroup_trees() if (point / "cpuacct.usage").exists()), stage.CGROUPS)
        self.groups = []

    def apart(self, name):
        group = self.root / f"bench-{name}"
        group.mkdir()
        self.groups.append((name, group))
        # On v2 the processes of the stage are in a group below its root.
        inner = self.root / "stage"
        return Inside(inner if inner.exists() else self.root, group)

    def read(self, own):
        """Seconds of everything but this script and the groups that are not among `own`."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        others = sum(seconds(group) for name, group in self.groups if name not in own)
        return seconds(self.root) - others - used.ru_utime - used.ru_stime


class Inside:
    """What is started meanwhile is born in the group."""

    def __init__(self, outside, group):
        self.outside, self.group = outside, group

    def __enter__(self):
        (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def __exit__(self, *_):
        (self.outside / "cgroup.procs").write_text(str(os.getpid()))


def seconds(group):
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    lines = (group / "cpu.stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("usage_usec")) / 1e6


def io_of(pid):
    """Bytes that a process, and those that it has waited for, have had written to disks."""
    lines = pathlib.Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def private_bytes(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


if __name__ == "__main__":
    main()
