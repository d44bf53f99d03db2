#!/usr/bin/env python3
"""Runs the tests of mounts, file systems, namespaces and filters on kernels that lack calls.

    integration/fallbacks.py [SET...]      all sets, if none is named

For each set of system calls, WITHOUT (tests/support/without.rs) takes them away from every runtime that a test starts: they
answer ENOSYS, as on an older kernel or below a filter that denies them. What a test says must hold all the same. Where it
cannot, EXCEPTIONS says why; a test that stands there and passes is an error, too.
"""

import fnmatch
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ["harness", "mounts", "bind_mounts", "cgroup_mounts", "rootfs", "hostile", "hostile_bundles", "hostile_hooks",
            "seccomp", "namespaces"]

PIDFD = ["pidfd_open", "pidfd_send_signal", "pidfd_getfd"]
MOUNT_API = ["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"]
SETS = {
    "openat2": ["openat2"],
    "mount-api": MOUNT_API,
    "mount_setattr": ["mount_setattr"],
    "clone3": ["clone3"],
    "close_range": ["close_range"],
    "pidfd": PIDFD,
    "all": ["openat2", *MOUNT_API, "clone3", "close_range", *PIDFD],
}

# Linux 5.2 has no mount_setattr(2): without it the whole interface is left alone, so these three go together.
OLD_MOUNTS = "mount-api mount_setattr all"
NO_PIDFD = "pidfd all"

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
    (OLD_MOUNTS, "rootfs", "l15_mount_label_is_on_what_can_have_one"): "the plan that it reads tells of the other interface",
    (OLD_MOUNTS, "mounts", "a8_*"): "a gap: what mount(2) puts on / lies below the root and is not entered",
    (OLD_MOUNTS, "cgroup_mounts", "a20_cgroup_that_an_ordinary_user_has_not_is_an_empty_read_only_tree"):
        "a gap: mount(2) shows the tree of the container's own cgroup, read-only, in its place",
    ("clone3 all", "namespaces", "each_namespace_can_be_new"): "clone(2) has no flag for a time namespace; it is refused by name",
    ("clone3 all", "namespaces", "time_offsets_shift_the_clocks_of_a_new_time_namespace"): "the same",
    ("clone3 pidfd all", "namespaces", "l1_user_pid_and_time_namespaces_are_joined_in_any_combination"):
        "the same; and init, whom another process makes, is taken over by its pidfd",
    # Without pidfd_open(2) nobody is signalled, since the pid could be another's: these kill, or ask with signal 0.
    (NO_PIDFD, "hostile", "null_link_to_the_outside_is_neither_opened_nor_given_away"): "deletes a container that waits",
    (NO_PIDFD, "hostile_bundles", "a_bundle_with_dots_is_told_by_its_real_path"): "deletes a container that waits",
    (NO_PIDFD, "hostile_bundles", "signal_0_asks_whether_the_container_runs"): "signals",
    (NO_PIDFD, "mounts", "mount_table_of_the_caller_is_unchanged_to_the_letter"): "deletes a container that waits",
    (NO_PIDFD, "mounts", "mount_table_of_the_caller_is_unchanged_by_a_container_that_shares_its_root"):
        "deletes a container that waits",
    (NO_PIDFD, "hostile_hooks", "*"): "the end of a hook, and its time, are waited for by its pidfd",
    (NO_PIDFD, "namespaces", "init_of_a_joined_pid_namespace_is_not_its_pid_1"): "deletes a container that waits",
    (NO_PIDFD, "namespaces", "ids_of_the_process_are_the_containers"): "deletes a container that waits",
    (NO_PIDFD, "namespaces", "*user_namespace_*path*"): "init, whom another process makes, is taken over by its pidfd",
    (NO_PIDFD, "namespaces", "message_queues_belong_to_root_of_a_joined_user_namespace"): "the same",
    (NO_PIDFD, "bind_mounts", "a17_idmap_with_the_maps_of_a_joined_user_namespace"): "the same",
}


def main():
    names = sys.argv[1:] or list(SETS)
    if unknown := [name for name in names if name not in SETS]:
        sys.exit(f"fallbacks: no set is called {', '.join(unknown)}; there are {', '.join(SETS)}")
    problems = []
    for name in names:
        start = time.monotonic()
        failed, passed = run(SETS[name])
        problems += judge(name, failed, passed)
        print(f"    without {name}: {len(passed)} tests hold, {len(failed)} cannot ({time.monotonic() - start:.0f} s)", flush=True)
    for problem in problems:
        print(f"fallbacks: {problem}", file=sys.stderr)
    return 1 if problems else 0


def run(calls):
    """The tests that fail, with what they say, and those that pass, by (program, test)."""
    words = ["cargo", "test", "--locked", "--no-fail-fast", *[word for name in PROGRAMS for word in ("--test", name)]]
    process = subprocess.run(words, cwd=ROOT, env={**os.environ, "WITHOUT": ",".join(calls)}, text=True, check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    program, section, failed, passed = "", None, {}, set()
    for line in process.stdout.splitlines():
        if match := re.match(r"\s*Running tests/(\w+)\.rs ", line):
            program, section = match[1], None
        elif match := re.match(r"test (\S+) \.\.\. (ok|FAILED)", line):
            if match[2] == "ok":
                passed.add((program, match[1]))
            else:
                failed[program, match[1]] = []
        elif match := re.match(r"---- (\S+) stdout ----", line):
            section = failed.get((program, match[1]))
        elif section is not None:
            section.append(line)
    if missing := set(PROGRAMS) - {program for program, _ in passed}:
        sys.exit(f"fallbacks: nothing passes in {', '.join(sorted(missing))}: cargo test says\n{process.stdout}")
    return failed, passed


def judge(name, failed, passed):
    # A pattern may be wider than what it is there for; a test by its name is not.
    named = [key for key in EXCEPTIONS if "*" not in key[2]]
    excepted = [(key, test) for key in named for test in passed if matches(key, name, test)]
    problems = [f"{program}::{test} holds without {name}, and is said not to" for _, (program, test) in sorted(excepted)]
    for (program, test), words in sorted(failed.items()):
        if not any(matches(key, name, (program, test)) for key in EXCEPTIONS):
            problems.append(f"{program}::{test} fails without {name}:\n" + "\n".join(words))
    return problems


def matches(key, name, test):
    sets, program, pattern = key
    return name in sets.split() and test[0] == program and fnmatch.fnmatch(test[1], pattern)


if __name__ == "__main__":
    sys.exit(main())
