#!/usr/bin/env python3
"""Prints the biggest files and the longest functions, and fails where one is beyond its end.

    integration/sizes.py

A file ends at 800 lines and a function at 100; 500 and 60 are long already and are listed. Tables are excepted: files
named `tables.rs`, `*_table.rs` or `*_tables.rs`.
"""

import pathlib
import re
import sys

FILE_LONG, FILE_END = 500, 800
FUNCTION_LONG, FUNCTION_END = 60, 100
ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["src", "ocictl/src", "tests", "ocictl/tests", "benches", "integration", "conformance"]
# Comments, strings and characters, in that order: what may hold a brace that is none.
NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\b[bc]?r(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\[^']+|[^'\\])'""", re.DOTALL)


def main():
    files, functions = [], []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".rs", ".py", ".sh") or re.search(r"(^|_)tables?\.rs$", path.name):
                continue
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT)
            files.append((text.count("\n"), str(name)))
            if path.suffix == ".rs":
                functions += [(lines, f"{name}:{line} {function}") for function, line, lines in functions_of(text)]
    return max(report("file", files, FILE_LONG, FILE_END), report("function", functions, FUNCTION_LONG, FUNCTION_END))


def functions_of(text):
    """Name, first line and number of lines of each function that has a body."""
    code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    for match in re.finditer(r"\bfn\s+(\w+)", code):
        body = re.compile(r"[{;]").search(code, end_of_signature(code, match.end()))
        if body is None or body.group() == ";":
            continue
        depth, at = 0, body.start()
        while True:
            depth += {"{": 1, "}": -1}.get(code[at], 0)
            if depth == 0:
                break
            at += 1
        first = code.count("\n", 0, match.start()) + 1
        yield match.group(1), first, code.count("\n", match.start(), at) + 1


def end_of_signature(code, start):
    """Behind the parameters, which may hold a `;` of their own (`[u8; 4]`)."""
    depth, at = 0, code.index("(", start)
    while True:
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        at += 1
        if depth == 0:
            return at


def report(kind, sizes, long, end):
    """Prints the biggest, then all that are long; answers 1 if one is beyond the end."""
    if not sizes:
        return 0
    sizes.sort(reverse=True)
    print(f"    biggest {kind}: {sizes[0][0]} lines, {sizes[0][1]}")
    for lines, name in sizes[1:] if sizes[0][0] > long else []:
        if lines > long:
            print(f"    long {kind}: {lines} lines, {name}")
    beyond = [f"{name} has {lines} lines; the end is {end}" for lines, name in sizes if lines > end]
    for sentence in beyond:
        print(f"sizes: {sentence}", file=sys.stderr)
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
