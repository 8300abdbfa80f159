#!/usr/bin/env python3
"""Checks that every source file includes its own folder and lower floors only.

The floors are those of docs/internals/architecture.md. Prints each violation; exits with 1 when
there is one.
"""

import pathlib
import re
import sys

# Folder -> folders that it may include, besides itself.
FLOORS = [
    {"base"},
    {"layout"},
    {"ops", "io"},
    {"comm", "cache", "text"},
    {"model"},
    {"engine", "plan"},
    {"proof"},
    {"app"},
]
# Within floors 3 and 5 some folders build on each other, in this direction only.
BESIDE = {"plan": {"engine"}}
# The GPU backend stands beside floors 2 and 3; the application alone asks it for devices.
CUDA_USERS = {"app"}

INCLUDE = re.compile(r'^#include "([a-z_]+)/[^"]+"', re.MULTILINE)


def allowed(folder):
    lower = set()
    for floor in FLOORS:
        if folder in floor:
            return lower | {folder} | BESIDE.get(folder, set())
        lower |= floor
    raise SystemExit(f"src/{folder} is on no floor: add it to {__file__}")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "src"
    found = 0
    for path in sorted(root.rglob("*")):
        if path.suffix not in {".h", ".cpp", ".inl"}:
            continue
        folder = path.relative_to(root).parts[0]
        for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if included == "cuda" and folder in CUDA_USERS:
                continue
            if included not in allowed(folder):
                print(f"src/{path.relative_to(root)} includes {included}/, a floor above or beside it")
                found += 1
    print(f"floors: {found} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
