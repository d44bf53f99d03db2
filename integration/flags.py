#!/usr/bin/env python3
"""Takes one flag after the other away from the runtime's command line, and looks that a test notices.

    integration/flags.py [WORD...]      the rows of docs/flags.md that have one of the WORDs; all, if none is named

Each row names the test that shows the flag. The test is run twice through a script that stands before the runtime ($RUNTIME):
the first one passes everything on, and the test must pass; the second one leaves the flag out, and the test must fail, since a flag
that is read and then ignored is no better. What a test cannot show on this machine, and says so, is counted.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import programs

ROOT = programs.ROOT
TABLE = ROOT / "docs/flags.md"
LINK = re.compile(r"\[`(\w+)`\]\(\.\./tests/(\w+)\.rs\)")
# Verbs whose words behind the container are somebody else's.
OTHERS = ["exec", "ps"]

Row = collections.namedtuple("Row", "verb names takes_value tests")

# Passes on what it gets, without the flag. A word that is the value of another flag is never looked at.
SCRIPT = r"""#!/bin/bash
verb=@VERB@ root=@ROOT@
drop=(@DROP@) valued=(@VALUED@) verbs=(@VERBS@) others=(@OTHERS@)
takes_value=@TAKES_VALUE@
among() { local word=$1 one; shift; for one; do [[ $word == "$one" ]] && return 0; done; return 1; }

kept=() found= seen=
while (($#)); do
    word=$1; shift
    if [[ -z $found ]] && among "$word" "${verbs[@]}"; then found=$word; kept+=("$word"); continue; fi
    # Behind the container, or a lone --, flags are the program's.
    if [[ $word == -- || -n $seen ]] || { [[ $word != -* && -n $found ]] && among "$found" "${others[@]}"; }; then
        seen=1; kept+=("$word"); continue
    fi
    if [[ $word == -* && ( -z $verb || $verb == "$found" ) ]] && among "${word%%=*}" "${drop[@]}"; then
        if [[ -n $takes_value && $word != *=* ]]; then shift; fi
        if [[ -n $root ]]; then kept+=(--root "$root"); fi
        continue
    fi
    kept+=("$word")
    if [[ $word == -* && $word != *=* ]] && among "$word" "${valued[@]}"; then kept+=("$1"); shift; fi
done
exec @RUNTIME@ "${kept[@]}"
"""


def main():
    rows = read_table()
    words = sys.argv[1:]
    chosen = [row for row in rows if row.tests and row.names and (not words or set(words) & {row.verb, *row.names})]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="corten-flags-"))
    directory.chmod(0o755)
    try:
        return compare(rows, chosen, programs.build({file for row in chosen for _, file in row.tests}), directory)
    finally:
        shutil.rmtree(directory)


def compare(rows, chosen, binaries, directory):
    with ThreadPoolExecutor(programs.AT_A_TIME) as pool:
        whole = write(directory, "whole", rows, Row("", [], False, []))
        tests = sorted({test for row in chosen for test in row.tests})
        controls = dict(zip(tests, pool.map(lambda test: run(binaries, test, whole), tests)))
        problems = [f"{file}::{name} fails with every flag:\n{said}" for (name, file), (held, said) in controls.items() if not held]
        skipping = {test for test, (_, said) in controls.items() if re.search(r"^skipped: ", said, re.M)}
        shown, unseen = 0, []
        verdicts = pool.map(lambda numbered: judge(rows, *numbered, binaries, directory, skipping), enumerate(chosen))
        for row, noticed in zip(chosen, verdicts):
            about = " ".join(filter(None, [row.verb, row.names[-1]]))
            if noticed is None:
                unseen.append(about)
            elif noticed:
                shown += 1
            else:
                problems.append(f"{about}: no test of the row notices that it is not there: {[name for name, _ in row.tests]}")
    print(f"flags: {shown} shown, {len(problems)} failed, {len(unseen)} cannot be shown on this machine{': ' if unseen else ''}{', '.join(unseen)}")
    for problem in problems:
        print(f"flags: {problem}", file=sys.stderr)
    return 1 if problems else 0


def judge(rows, number, row, binaries, directory, skipping):
    """Whether a test of the row fails without the flag; None if no test of it can be run here."""
    able = [test for test in row.tests if test not in skipping]
    script = write(directory, str(number), rows, row)
    noticed = any(not run(binaries, test, script)[0] for test in able)
    sweep(directory / f"{number}-root")
    return noticed if able else None


def read_table():
    rows = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 3 or cells[0] == "verb" or cells[0].startswith("--"):
            continue
        words = cells[1].strip("`").split()
        names = [word for word in words if word.startswith("-")]
        # A value that may be missing stands behind = and nowhere else.
        takes_value = len(words) > len(names) and not words[-1].startswith("[B")
        rows.append(Row(cells[0], names, takes_value, LINK.findall(cells[2])))
    return rows


def write(directory, name, rows, row):
    """The script without the flag of a row."""
    valued = {name for other in rows if other.takes_value and other.verb in ("", row.verb) for name in other.names}
    # Letters of the program are the verb's own behind it.
    if row.verb:
        valued -= {name for other in rows if other.verb == row.verb and not other.takes_value for name in other.names}
    scratch = directory / f"{name}-root" if row.names == ["--root"] else ""
    runtime = os.environ.get("RUNTIME", str(ROOT / "bin/corten"))
    text = SCRIPT
    for word, value in {
        "VERB": row.verb, "ROOT": scratch, "DROP": " ".join(row.names), "VALUED": " ".join(sorted(valued)),
        "VERBS": " ".join(sorted({other.verb for other in rows if other.verb})), "OTHERS": " ".join(OTHERS),
        "TAKES_VALUE": "1" if row.takes_value else "", "RUNTIME": runtime,
    }.items():
        text = text.replace(f"@{word}@", str(value))
    path = directory / name / "corten"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def sweep(root):
    """Takes away what a test has made below the root that stood in for the one that was not named."""
    runtime = os.environ.get("RUNTIME", str(ROOT / "bin/corten"))
    for container in root.glob("*/"):
        subprocess.run([runtime, "--root", root, "delete", "--force", container.name], check=False, stderr=subprocess.DEVNULL)


def run(binaries, test, runtime):
    """Whether a test passes with a runtime, and what it says."""
    name, file = test
    return programs.run(binaries[file], name, {"RUNTIME": str(runtime)}, clear_up)


def clear_up(pid):
    """Does what a test cannot do any more that waited for what the flag would have brought."""
    for left in pathlib.Path(tempfile.gettempdir()).glob(f"cortentest-{pid}-*"):
        sweep(left / "state")
        shutil.rmtree(left, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
