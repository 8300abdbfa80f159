#!/usr/bin/env python3
"""Checks that every source file includes its own folder and lower levels only, and that no type is
defined twice in one namespace, which no compiler run would see.

The levels are those of docs/internals/architecture.md. Prints each violation; exits with 1 when there is one.
"""

import pathlib
import re
import sys

# Folder -> folders that it may include, besides itself.
LEVELS = [
    {"base"},
    {"layout"},
    {"ops", "io"},
    {"comm", "cache", "text"},
    {"model"},
    {"engine", "plan"},
    {"proof"},
    {"app"},
]
# Within levels 3 and 5 some folders build on each other, in this direction only.
BESIDE = {"plan": {"engine"}}
# The GPU backend stands beside levels 2 and 3; the application alone asks it for devices.
CUDA_USERS = {"app"}

# Blocks and definitions of types, which all begin at the start of a line.
LINE = re.compile(
    r"^(?:namespace(?P<space> [\w:]+)? \{|(?P<close>\}).*|(?:template.*> )?"
    r"(?:struct|class|enum class|enum)(?: alignas\(.*?\))? (?P<type>\w+)(?!\w|::)[^;{]*\{.*)$",
    re.MULTILINE)
INCLUDE = re.compile(r'^#include "([a-z_]+)/[^"]+"', re.MULTILINE)


def allowed(folder):
    lower = set()
    for level in LEVELS:
        if folder in level:
            return lower | {folder} | BESIDE.get(folder, set())
        lower |= level
    raise SystemExit(f"src/{folder} is on no level: add it to {__file__}")


def types_of(text):
    """Names of the types that a file defines, with their namespaces; not those of one file alone."""
    spaces = []
    within = 0  # a definition
    for match in LINE.finditer(text):
        if match["type"]:
            if None not in spaces:
                yield "::".join(spaces + [match["type"]])
            within += 0 if match[0].rstrip().endswith(("}", "};")) else 1
        elif match["close"]:
            if not match[0].startswith("}  // namespace"):
                within -= 1 if within else 0
            elif spaces:
                spaces.pop()
        elif match[0].startswith("namespace"):
            spaces.append(match["space"].strip() if match["space"] else None)


def repeated_types(tree):
    """Types that several files define."""
    files = {}
    for folder in ("src", "cuda"):
        for path in sorted((tree / folder).rglob("*")):
            if path.suffix in {".h", ".cpp", ".inl", ".cu"}:
                for name in set(types_of(path.read_text(encoding="utf-8"))):
                    files.setdefault(name, []).append(str(path.relative_to(tree)))
    return {name: paths for name, paths in files.items() if len(paths) > 1}


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
                print(f"src/{path.relative_to(root)} includes {included}/, a level above or beside it")
                found += 1
    for name, paths in sorted(repeated_types(root.parent).items()):
        print(f"{name} is defined in {' and in '.join(paths)}")
        found += 1
    print(f"levels: {found} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
