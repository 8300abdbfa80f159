#!/usr/bin/env python3
"""How far a job is, as whoever watches it sees it: on a terminal, and in a log."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading

from weft_e2e import (ENVIRONMENT, EXIT_RESUMABLE, LAUNCHER, WeftTest, adder_requests, command,
                      kill_family, main, weft, write_rows)

PROGRESS = r"weft: \d+ s: (?:[a-z ]+|(\d+) of 1000 requests done; [\d.]+ tokens/s.*)"


def run_on_terminal(vector, columns, limit=60):
    """Runs a command whose output is a terminal; gives its status and what it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = bytearray()

    def read():
        try:
            while piece := os.read(ours, 65536):
                written.extend(piece)
        except OSError:  # nobody has the other end any more
            pass

    with subprocess.Popen(vector, stdin=subprocess.DEVNULL, stdout=theirs,
                          stderr=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        try:
            status = process.wait(timeout=limit)
        finally:
            if process.poll() is None:
                kill_family(process)
            reader.join(timeout=limit)
            os.close(ours)
    return status, written.decode(errors="replace")


def screen_of(text):
    """The lines that a terminal shows in the end."""
    lines = [""]
    column = 0
    for piece in re.findall(r"\x1b\[K|[\r\n\x1b]|[^\r\n\x1b]+", text):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            lines.append("")
        elif piece == "\x1b[K":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + piece + lines[-1][column + len(piece):]
            column += len(piece)
    return lines


class Progress(WeftTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # 64 choices each: minutes of work on any machine.
        prompts = write_rows(cls.folder / "long.jsonl",
                             adder_requests(1000, max_tokens=64, n=64, temperature=1))
        cls.job = cls().write_job("long", prompts, sampling__ignore_eos=True,
                                  engine__max_sequences=1)

    def test_terminal(self):
        """One line from the first seconds on, rewritten in place, and gone at the end."""
        for ranks, columns in [(None, 200), (2, 30)]:
            if ranks and "--oversubscribe" not in LAUNCHER:
                continue  # Open MPI alone gives its ranks terminals
            with self.subTest(ranks=ranks, columns=columns):
                output = self.folder / f"terminal-{ranks}-{columns}"
                status, text = run_on_terminal(
                    command("run", self.job, "--set", f"output.dir={output}", "--set",
                            "run.time_limit=3s", ranks=ranks), columns)
                self.assertEqual(status, EXIT_RESUMABLE, text)
                pieces = text.split("\r\x1b[K")
                versions = [piece for piece in pieces[1:-1] if piece and "\n" not in piece]
                self.assertGreaterEqual(len(versions), 2, text)
                for version in versions:
                    if columns == 200:
                        self.assertRegex(version, rf"\A{PROGRESS}\Z")
                    self.assertRegex(version, r"\Aweft: \d+ s: .+\Z")
                    self.assertLess(len(version), columns)
                # What stands there at the end is what a log would hold, without progress.
                shown = screen_of(text)
                self.assertNotIn("\x1b", "".join(shown))
                self.assertFalse([line for line in shown if re.match(PROGRESS, line)], shown)
                self.assertEqual(shown[-1], "")
                if "without a new row" in pieces[-1]:  # on a machine that was busy
                    continue
                self.assertRegex(pieces[-1], r"\Aweft [\d.]+, numerics invariant")
                self.assertIn("stopped before the end", shown[-2])

    def test_log(self):
        """Plain lines: one in the first seconds, then one each run.progress_seconds."""
        for ranks, seconds in [(None, 60), (2, 1)]:
            with self.subTest(ranks=ranks, seconds=seconds):
                result = weft("run", self.job, "--set",
                              f"output.dir={self.folder}/log-{ranks}-{seconds}", "--set",
                              f"run.progress_seconds={seconds}", "--set", "run.time_limit=4s",
                              ranks=ranks)
                self.assertEqual(result.status, EXIT_RESUMABLE, result)
                for forbidden in ("\x1b", "\r"):
                    self.assertNotIn(forbidden, result.out)
                lines = re.findall(rf"^{PROGRESS}$", result.out, flags=re.MULTILINE)
                if seconds == 60:
                    self.assertIn(len(lines), (1, 2), result)  # two: the prompts took a second too
                    continue
                counts = [int(count) for count in lines if count]
                self.assertGreaterEqual(len(counts), 2, result)
                self.assertEqual(counts, sorted(counts))
                self.assertGreater(counts[-1], 0)
        quiet = weft("run", self.job, "--set", f"output.dir={self.folder}/quiet", "--set",
                     "run.progress_seconds=0", "--set", "run.time_limit=2s")
        self.assertNotRegex(quiet.out, r"requests done;")


if __name__ == "__main__":
    main()
