#!/usr/bin/env python3
"""Every command of the guide and the README, run as a reader would type it.

    tests/e2e/test_guide.py [Guide.test_NAME_OF_PAGE]

The blocks of a page run in order in a folder of their own, with copies of the repository's data/,
configs/, scripts/ and slurm/; `weft` is the built program. What a fenced block is, its info
string says:

    sh run             a shell script (bash -euo pipefail), which must succeed
    sh run status=75   one that must end with that status
    … file=NAME        not run: the text of the file NAME
    text output        lines that the last script printed, in this order; `…` stands for anything
    sh cluster         not run: needs a cluster
    sh checkpoint      not run: needs a checkpoint that is not in the repository
    sh build           not run: builds or installs the program, which other tests do

Other blocks of `sh` are mistakes, and so is a page of the guide in which nothing is run.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import weft_e2e
from weft_e2e import ENVIRONMENT, LAUNCHER, REPOSITORY, WEFT

GUIDE = REPOSITORY / "docs" / "guide"
COMMANDS = REPOSITORY / "docs" / "reference" / "commands.md"
NOT_RUN = {"cluster", "checkpoint", "build"}
BLOCK_LIMIT = 240  # seconds
REACHABLE = ("data", "configs", "scripts", "slurm")


class Block:
    """A fenced block: its place, the words of its info string, its text."""

    def __init__(self, page, line, info, text):
        self.where = f"{page.name}:{line}"
        words = info.split()
        self.language = words[0] if words else ""
        self.marks = {word.partition("=")[0]: word.partition("=")[2] for word in words[1:]}
        self.text = text


def blocks_of(page):
    found = []
    start = None
    info = ""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = re.match(r"^```(.*)$", line)
        if not fence:
            continue
        if start is None:
            start, info = number, fence.group(1)
        else:
            found.append(Block(page, start, info, "\n".join(lines[start:number - 1]) + "\n"))
            start = None
    return found


class Guide(unittest.TestCase):
    """One test for each page, made below."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="weft-guide-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        programs = cls.folder / "bin"
        programs.mkdir()
        (programs / "weft").symlink_to(WEFT)
        launcher = programs / "mpirun"
        real = [shutil.which(LAUNCHER[0]) or LAUNCHER[0]] + LAUNCHER[1:]
        launcher.write_text(f'#!/bin/sh\nexec {shlex.join(real)} "$@"\n', encoding="utf-8")
        launcher.chmod(0o755)
        cls.environment = {**ENVIRONMENT, "PATH": f"{programs}:{os.environ['PATH']}",
                           "TMPDIR": str(cls.folder),
                           "OMPI_MCA_btl_vader_backing_directory": str(cls.folder)}

    def try_page(self, page):
        place = self.folder / page.stem
        place.mkdir()
        for name in REACHABLE:
            shutil.copytree(REPOSITORY / name, place / name)
        printed = None
        ran = 0
        left = {mark: 0 for mark in NOT_RUN}
        for block in blocks_of(page):
            if "file" in block.marks:
                path = place / block.marks["file"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            elif "output" in block.marks:
                self.assertIsNotNone(printed, f"{block.where}: output of nothing")
                self.compare(block, printed)
            elif "run" in block.marks:
                printed = self.run_block(block, place)
                ran += 1
            elif block.language == "sh":
                marks = NOT_RUN & set(block.marks)
                self.assertTrue(marks, f"{block.where}: say 'run', or why it cannot be")
                left[marks.pop()] += 1
        self.assertGreater(ran, 0, f"{page.name}: no block is run")
        print(f"\n  {page.name}: {ran} blocks run; not run: "
              + ", ".join(f"{count} {mark}" for mark, count in sorted(left.items())), file=sys.stderr)

    def run_block(self, block, place):
        """Both outputs of a block, which must end with the status that it announces."""
        vector = ["bash", "-euo", "pipefail", "-c", block.text]
        with subprocess.Popen(vector, cwd=place, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                out = process.communicate(timeout=BLOCK_LIMIT)[0].decode(errors="replace")
            except subprocess.TimeoutExpired:
                weft_e2e.kill_family(process)
                raise AssertionError(f"{block.where}: no end within {BLOCK_LIMIT} s") from None
        wanted = int(block.marks.get("status", "0"))
        self.assertEqual(process.returncode, wanted, f"{block.where}:\n{block.text}\n{out[-3000:]}")
        return out

    def compare(self, block, printed):
        """Every line of the block stands in what was printed, after the one before it."""
        at = 0
        lines = printed.splitlines()
        for line in filter(None, map(str.strip, block.text.splitlines())):
            pattern = ".*".join(re.escape(part) for part in re.split(r"\s*…\s*", line))
            pattern = re.sub(r"(\\ )+", r"\\s+", pattern)
            while at < len(lines) and not re.fullmatch(pattern, lines[at].strip()):
                at += 1
            self.assertLess(at, len(lines), f"{block.where}: not printed: {line}\n{printed}")
            at += line != "…"


class Commands(unittest.TestCase):
    """The reference of commands lists what the program's help lists."""

    def test_every_command_and_option_is_described(self):
        page = COMMANDS.read_text(encoding="utf-8")
        listed = weft_e2e.weft("--help").out.partition("Subcommands:")[2].partition("Examples:")[0]
        names = re.findall(r"^  ([a-z]+) ", listed, flags=re.MULTILINE)
        self.assertIn("run", names)
        for name in names:
            section = page.partition(f"\n## weft {name}\n")[2].partition("\n## ")[0]
            self.assertTrue(section, f"{COMMANDS.name} has no section 'weft {name}'")
            if name == "synth":
                section += page.partition("\n## weft convert\n")[2].partition("\n## ")[0]
            options = set(re.findall(r"^ +(?:-\w,)?(--[a-z][a-z-]+)", weft_e2e.weft(name, "--help").out,
                                     flags=re.MULTILINE)) - {"--help"}
            described = set(re.findall(r"--[a-z][a-z-]+", section))
            self.assertFalse(options - described, f"weft {name}: not in {COMMANDS.name}")
            if name != "synth":
                self.assertFalse(described - options - {"--help"}, f"weft {name}: no such options")


def add_test(page):
    name = "test_" + re.sub(r"\W", "_", page.stem.lower())
    setattr(Guide, name, lambda self: self.try_page(page))


for each in [REPOSITORY / "README.md"] + sorted(GUIDE.glob("[0-9]*.md")):
    add_test(each)

if __name__ == "__main__":
    weft_e2e.main()
