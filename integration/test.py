#!/usr/bin/env python3
"""Runs all tests of the workspace and prints how many passed, failed and found nothing to test here.

    integration/test.py [WORD...]      WORDs go to cargo-nextest or, where that is not installed, to cargo test

A test that finds nothing to test says `skipped: ` and why. cargo test keeps to itself what a test that passed has said, so there
it counts as passed.
"""

import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "target" / "nextest" / "default" / "junit.xml"


def main():
    os.chdir(ROOT)
    has_nextest = subprocess.run(["cargo", "nextest", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 check=False).returncode == 0
    status, counts = nextest() if has_nextest else libtest()
    print(f"tests: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped", flush=True)
    return status


def nextest():
    words = ["cargo", "nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--status-level", "fail", "--final-status-level",
             "fail", *sys.argv[1:]]
    tell(words)
    RESULTS.unlink(missing_ok=True)
    status = subprocess.run(words, check=False).returncode
    if not RESULTS.exists():
        return status or 1, (0, 1, 0)
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(RESULTS).iter("testcase"):
        said = "\n".join(output.text or "" for output in case if output.tag.startswith("system-"))
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif re.search(r"^skipped: ", said, re.M):
            skipped += 1
        else:
            passed += 1
    return status, (passed, failed, skipped)


def libtest():
    words = ["cargo", "test", "--quiet", "--workspace", "--locked", "--no-fail-fast", *sys.argv[1:]]
    tell(words)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, errors="replace")
    passed = failed = skipped = 0
    for line in process.stdout:
        print(line, end="", flush=True)
        if match := re.match(r"test result: .* (\d+) passed; (\d+) failed; (\d+) ignored", line):
            passed, failed, skipped = (sum(pair) for pair in zip((passed, failed, skipped), map(int, match.groups())))
    status = process.wait()
    return status, (passed, failed or int(status != 0), skipped)


def tell(words):
    print(f"==> {' '.join(words)} (RUNTIME={os.environ.get('RUNTIME', '')})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
