#!/usr/bin/env python3
"""Runs the tests of mounts, file systems, namespaces and filters on kernels that lack calls.

    integration/fallbacks.py [SET...]      all sets, if none is named

For each set of system calls, WITHOUT (tests/support/without.rs) takes them away from every runtime that a test starts: they
answer ENOSYS, as on an older kernel or below a filter that denies them. What a test says must hold all the same. Where it
cannot, EXCEPTIONS says why; a test that stands there and passes is an error, too.

The tests are built once. They wait more than they compute, so more of them run at a time than there are processors.
"""

import fnmatch
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import programs

TREE = ["harness", "mounts", "host_mounts", "bind_mounts", "cgroup_mounts", "rootfs", "hostile", "hostile_bundles", "seccomp", "namespaces"]
# What makes, signals and awaits processes.
LIFE = ["hostile_hooks", "hooks", "lifecycle", "exec"]

PIDFD = ["pidfd_open", "pidfd_send_signal", "pidfd_getfd"]
MOUNT_API = ["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"]
# The calls, and the programs whose tests are run without them.
SETS = {
    "openat2": (["openat2"], TREE),
    "mount-api": (MOUNT_API, TREE),
    "mount_setattr": (["mount_setattr"], TREE),
    "clone3": (["clone3"], TREE + LIFE),
    "close_range": (["close_range"], TREE),
    "pidfd": (PIDFD, TREE + LIFE),
    "all": (["openat2", *MOUNT_API, "clone3", "close_range", *PIDFD], TREE + LIFE),
}

# Linux 5.2 has no mount_setattr(2): without it the whole interface is left alone, so these three go together.
OLD_MOUNTS = "mount-api mount_setattr all"

# (sets, program, test by a pattern of fnmatch): why it cannot hold.
EXCEPTIONS = {
    (" ".join(SETS), "seccomp", "empty_filter_is_no_filter"): "the filter that takes the calls away is one",
    (OLD_MOUNTS, "bind_mounts", "a17_*"): "only mount_setattr(2) maps ids; it is refused by name",
    (OLD_MOUNTS, "bind_mounts", "a14_recursive_attributes"): "only mount_setattr(2) is recursive; it is refused by name",
    (OLD_MOUNTS, "mounts", "recursive_attributes_reach_every_submount"): "the same",
    (OLD_MOUNTS, "mounts", "ro_with_rbind_is_for_the_top_alone_and_rro_for_all"): "the same",
    (OLD_MOUNTS, "mounts", "bind_has_the_flags_of_its_options"): "the same: rro is among them",
    (OLD_MOUNTS, "mounts", "a12_unknown_option_goes_to_the_file_system_whose_words_are_told"):
        "the kernel's words come by the context of fsopen(2); mount(2) has an errno",
    (OLD_MOUNTS, "namespaces", "root_and_binds_below_a_closed_directory_are_reached_by_root_of_a_user_namespace"):
        "mount(2) takes a path, and root of the user namespace may not go that way",
}


def main():
    names = sys.argv[1:] or list(SETS)
    if unknown := [name for name in names if name not in SETS]:
        sys.exit(f"fallbacks: no set is called {', '.join(unknown)}; there are {', '.join(SETS)}")
    binaries = programs.build(TREE + LIFE)
    problems = []
    for name in names:
        start = time.monotonic()
        failed, passed = run(*SETS[name], binaries)
        problems += judge(name, failed, passed)
        print(f"    without {name}: {len(passed)} tests hold, {len(failed)} cannot ({time.monotonic() - start:.0f} s)", flush=True)
    for problem in problems:
        print(f"fallbacks: {problem}", file=sys.stderr)
    return 1 if problems else 0


def run(calls, names, binaries):
    """The tests that fail, with what they say, and those that pass, by (program, test)."""
    tests = [(program, test) for program in names for test in listed(binaries[program])]
    environment = {"WITHOUT": ",".join(calls)}

    def one(key):
        return programs.run(binaries[key[0]], key[1], environment)

    with ThreadPoolExecutor(programs.AT_A_TIME) as pool:
        ended = dict(zip(tests, pool.map(one, tests)))
    failed = {key: words for key, (held, words) in ended.items() if not held}
    return failed, set(ended) - set(failed)


def listed(binary):
    output = subprocess.run([binary, "--list"], text=True, check=True, stdout=subprocess.PIPE).stdout
    return re.findall(r"^(\S+): test$", output, re.MULTILINE)


def judge(name, failed, passed):
    # A pattern may be wider than what it is there for; a test by its name is not.
    named = [key for key in EXCEPTIONS if "*" not in key[2]]
    excepted = [(key, test) for key in named for test in passed if matches(key, name, test)]
    problems = [f"{program}::{test} holds without {name}, and is said not to" for _, (program, test) in sorted(excepted)]
    for (program, test), words in sorted(failed.items()):
        if not any(matches(key, name, (program, test)) for key in EXCEPTIONS):
            problems.append(f"{program}::{test} fails without {name}:\n{words}")
    return problems


def matches(key, name, test):
    sets, program, pattern = key
    return name in sets.split() and test[0] == program and fnmatch.fnmatch(test[1], pattern)


if __name__ == "__main__":
    sys.exit(main())
