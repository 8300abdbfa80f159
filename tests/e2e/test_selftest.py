#!/usr/bin/env python3
"""`weft selftest`: silent where all is well, loud and with status 1 where sums come out otherwise."""

import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from weft_e2e import (ENVIRONMENT, EXIT_RESUMABLE, WeftTest, kill_family, main, ranks_of, send,
                      start, weft)

TRIALS = 24


class Selftest(WeftTest):
    """The proof as a user runs it."""

    def test_all_is_well(self):
        """The same digests with and without mpirun, and on two ranks."""
        digests = set()
        for ranks in (None, 1, 2):
            with self.subTest(ranks=ranks):
                result = weft("selftest", "--trials", TRIALS, ranks=ranks)
                self.assertEqual(result.status, 0, result)
                self.assertRegex(
                    result.out, rf"^weft selftest: {TRIALS} trials, \d+ of them with several replicas: \d "
                    rf"models, \d+ layouts, \d+ schedules on {ranks or 1} ranks\n")
                self.assertRegex(
                    result.out, rf"\n{TRIALS} of {TRIALS} trials gave the bits of one rank alone, "
                    r"\d+ of them with preemption, in \d+ s\n$")
                self.assertNotIn("FAILED", result.out)
                lines = [line for line in result.out.splitlines() if line.startswith("  ")]
                digests.add(tuple(line for line in lines if " done after " not in line))
        self.assertEqual(len(digests), 1, digests)
        self.assertEqual(len(digests.pop()), 8)

    @unittest.skipIf(shutil.which("mpicc") is None, "mpicc is missing")
    def test_other_sums_are_told(self):
        """On an MPI whose bytes arrive changed in the last bit of some numbers."""
        shim = self.folder / "wrong_sums.so"
        subprocess.run(["mpicc", "-shared", "-fPIC", "-O1", "-o", shim,
                        Path(__file__).with_name("wrong_sums.c"), "-ldl"], check=True, timeout=60)
        ENVIRONMENT["LD_PRELOAD"] = str(shim)
        try:
            result = weft("selftest", "--trials", TRIALS, ranks=2)
        finally:
            del ENVIRONMENT["LD_PRELOAD"]
        self.assertEqual(result.status, 1, result)
        self.assertRegex(result.out, r"  FAILED: .*; tp=2 .*: request \d+ \(\d+ prompt tokens\) "
                                     r"differs, and \d+ more \(tokens of \d+, logits of \d+\)\n")
        self.assertNotIn(f"\n{TRIALS} of {TRIALS} trials", result.out)

    def test_wrong_options(self):
        self.assert_refused(weft("selftest", "--trials", 0), "--trials")
        self.assert_refused(weft("selftest", "--parts", 2, "--part", 3), "--part 3 is above")

    def test_a_part_until_the_time_is_up(self):
        """Of a proof that takes hours: what is tried until then is all that is asked for."""
        result = weft("selftest", "--full", "--parts", 20, "--part", 7, "--time-limit", 1, ranks=2)
        self.assertEqual(result.status, 0, result)
        planned = re.match(r"weft selftest: (\d+) trials", result.out)
        tried = re.search(r"\n(\d+) of \1 trials gave the bits of one rank alone", result.out)
        left = re.search(r"\nstopped before the end: (\d+) trials were not tried\n$", result.out)
        self.assertTrue(planned and tried and left, result)
        self.assertEqual(int(planned[1]), int(tried[1]) + int(left[1]))

    def test_a_signal_to_one_rank_stops_all(self):
        """Also those that form teams of their own, which would go on for many minutes."""
        process = start("selftest", "--full", ranks=3, out=subprocess.PIPE)
        try:
            first = process.stdout.readline().decode()
            self.assertRegex(first, r"^weft selftest: \d+ trials")
            send(max(ranks_of(process.pid)), signal.SIGUSR1)
            rest = process.communicate(timeout=120)[0].decode()
        finally:
            if process.poll() is None:
                kill_family(process)
        self.assertEqual(process.returncode, EXIT_RESUMABLE)
        self.assertRegex(rest, r"\nstopped before the end: \d+ trials were not tried\n$")


if __name__ == "__main__":
    main()
