#!/usr/bin/env python3
"""Prints what config.json can say, row by row, with the tests of each row and their results on this machine.

    integration/checklist.py [--list]      --list: without running the tests

The rows and their tests are those of docs/spec-conformance.md. It fails when a row is missing or pending, when a test is
not where its link says, and when one fails, and when a test that is
named after a row does not stand in it. A row that this kernel cannot show whole says what the kernel lacks.
"""

import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs/spec-conformance.md"
# How many rows each letter has: the root and the mounts, the process, Linux, hooks, the rest, deviations.
ROWS = {"A": 21, "B": 19, "L": 40, "H": 6, "F": 6, "D": 35}
LINK = re.compile(r"\[`(\w+)`\]\(\.\./([\w/.]+)\)")
# Tests that run below a mount of their own: by the test that starts them.
STARTED_BY = {"tests/cgroup/v2.rs": "cgroup_v2", "tests/cgroup/readonly.rs": "cgroup_v2_that_is_read_only"}

Row = collections.namedtuple("Row", "name text tests pending needs")
Result = collections.namedtuple("Result", "verdict skipped")


def main():
    rows = read_table()
    problems = misplaced(rows) + unlisted(rows)
    tests = {test for row in rows for test in row.tests}
    broken = [test for test in tests if not is_there(*test)]
    problems += [f"{file} has no test {name}" for file, name in sorted(broken)]
    results = {} if "--list" in sys.argv[1:] else run(tests - set(broken))
    counts = collections.Counter()
    for row in rows:
        counts[report(row, results, "--list" in sys.argv[1:])] += 1
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    for problem in problems:
        print(f"checklist: {problem}", file=sys.stderr)
    return 1 if problems or counts["FAILED"] or counts["pending"] or counts["no test"] else 0


def read_table():
    rows = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if re.match(r"\| [A-Z]\d", line) else []
        if not cells:
            continue
        name, text, tests = cells[:3]
        needs = cells[3].strip(" |").split() if len(cells) > 3 else []
        rows.append(Row(name, text, [(file, test) for test, file in LINK.findall(tests)], "*pending*" in tests, needs))
    return rows


def misplaced(rows):
    """Rows that are missing, double or unknown."""
    expected = {f"{letter}{number}" for letter, count in ROWS.items() for number in range(1, count + 1)}
    found = collections.Counter(row.name for row in rows)
    return ([f"row {name} is missing" for name in sorted(expected - set(found))]
            + [f"row {name} is unknown" for name in sorted(set(found) - expected)]
            + [f"row {name} stands {count} times" for name, count in found.items() if count > 1])


def unlisted(rows):
    """Tests that are named after rows and do not stand in them."""
    listed = {row.name: {name for _, name in row.tests} for row in rows}
    problems = []
    for path in sorted([*ROOT.glob("tests/**/*.rs"), *ROOT.glob("src/**/*.rs")]):
        for name in re.findall(r"#\[test\]\n(?:\s*#\[.*\n)*\s*fn (\w+)\(", path.read_text(encoding="utf-8")):
            problems += [f"{path.relative_to(ROOT)}: {name} does not stand in row {row}"
                         for row in rows_of(name) if row in listed and name not in listed[row]]
    return problems


def rows_of(name):
    """The rows that a test's name begins with: `b14_b15_…`, `h1_to_h6_…`."""
    if match := re.match(r"([a-z])(\d+)_to_\1(\d+)_", name):
        return [f"{match[1].upper()}{number}" for number in range(int(match[2]), int(match[3]) + 1)]
    return re.match(r"(?:[a-z]\d+_)*", name)[0].upper().split("_")[:-1]


def is_there(file, name):
    path = ROOT / file
    return path.is_file() and re.search(rf"#\[test\]\n(?:\s*#\[.*\n)*\s*fn {name}\(", path.read_text(encoding="utf-8"))


def run(tests):
    """Runs the tests of all rows in one go; results by (file, name)."""
    targets = {target_of(file) for file, _ in tests}
    names = {STARTED_BY.get(file, name) for file, name in tests}
    words = ["cargo", "test", "--locked", "--no-fail-fast"]
    for target in sorted(targets):
        words += ["--lib"] if target == "lib" else ["--test", target]
    print(f"==> running {len(tests)} tests of {len(targets)} programs", flush=True)
    process = subprocess.run(words + ["--", "--show-output", *sorted(names)], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", check=False)
    found = parse(process.stdout)
    if not found:
        sys.exit(f"checklist: cargo test says\n{process.stdout}")
    return {(file, name): of_test(file, name, found) for file, name in tests}


def of_test(file, name, found):
    result = found.get(key_of(file, name), Result("did not run", []))
    if file in STARTED_BY:
        # It ran inside another, which tells what each has left out.
        mine = f"{pathlib.Path(file).stem}::{name}: "
        return result._replace(skipped=[line.removeprefix(mine) for line in result.skipped if line.startswith(mine)])
    return result


def target_of(file):
    parts = file.split("/")
    return "lib" if parts[0] == "src" else parts[1].removesuffix(".rs")


def key_of(file, name):
    """The program and the name by which libtest calls a test."""
    target = target_of(file)
    if file in STARTED_BY:
        return target, STARTED_BY[file]
    modules = file.removesuffix(".rs").removesuffix("/mod").split("/")[1:]
    if target != "lib":
        return target, "::".join([*modules[1:], name])
    return target, "::".join([*modules, *(["tests"] if modules[-1] != "tests" else []), name])


def parse(output):
    """Verdicts, and what the tests themselves say of being skipped."""
    target, section, verdicts, skipped = "", "", {}, {}
    for line in output.splitlines():
        if match := re.match(r"\s*Running (?:unittests )?(?:src/(lib)\.rs|tests/(\w+)(?:\.rs|/main\.rs)) ", line):
            target, section = match[1] or match[2], ""
        elif match := re.match(r"test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", line):
            verdicts[target, match[1]] = match[2]
        elif match := re.match(r"---- (\S+) stdout ----", line):
            section = match[1]
        elif match := re.match(r"skipped(?: in part)?: (?:on \S+: )?(.*)", line):
            skipped.setdefault((target, section), []).append(match[1])
    return {key: Result(verdict, skipped.get(key, [])) for key, verdict in verdicts.items()}


def report(row, results, listing):
    """Prints a row and its tests; the row's verdict."""
    lacks = [reason for need in row.needs if (reason := lacking(need))]
    told = [results[test] for test in row.tests if test in results]
    lacks += sorted({reason for result in told for reason in result.skipped} - set(lacks))
    if row.pending:
        verdict = "pending"
    elif not row.tests:
        verdict = "no test"
    elif listing:
        verdict = "listed"
    elif len(told) < len(row.tests) or any(result.verdict != "ok" for result in told):
        verdict = "FAILED"
    else:
        verdict = "in part" if lacks else "ok"
    print(f"{row.name:4} {verdict:8} {row.text}")
    for file, name in row.tests:
        result = results.get((file, name), Result("", []))
        print(f"{'':14}{result.verdict:8} {file} {name}")
    for reason in lacks if verdict == "in part" else []:
        print(f"{'':14}not here: {reason}")
    return verdict


def lacking(need):
    """Why this kernel cannot show a row, or nothing."""
    kind, _, name = need.rpartition(":")
    if kind in ("v1", "v2", "any"):
        there = {"v1": v1, "v2": v2, "any": lambda name: v1(name) or v2(name)}[kind](name)
        return None if there else f"no {name} in cgroup {kind if kind != 'any' else 'v1 or v2'}"
    marks = {
        "selinux": "/sys/fs/selinux/enforce",
        "apparmor": "/sys/kernel/security/apparmor",
        "resctrl": "/sys/fs/resctrl",
    }
    return None if pathlib.Path(marks[name]).exists() else f"no {name}"


def cgroup_mounts(kind):
    for line in pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, filesystem, options = line.split(" ")[:4]
        if filesystem == kind:
            yield pathlib.Path(point), options.split(",")


def v1(name):
    """A controller, or a file of one."""
    return any(name in options or (point / name).exists() for point, options in cgroup_mounts("cgroup"))


def v2(name):
    controllers = [(point / "cgroup.controllers").read_text().split() for point, _ in cgroup_mounts("cgroup2")]
    return any(name in names for names in controllers)


if __name__ == "__main__":
    sys.exit(main())
