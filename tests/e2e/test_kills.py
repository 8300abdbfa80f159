#!/usr/bin/env python3
"""SIGKILL at random moments: of one rank, of several, of the launcher, of everything.

Each job is killed a few times, run again on another layout each time, and compared byte by byte with
an uninterrupted run at its end. As a test it kills ten times; `--kills 300 --seed 1` is the long
form, which prints what it did.
"""

import argparse
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from weft_e2e import (WeftTest, adder_requests, family, kill_family, main, ranks_of,
                      runs, send, start, wait_until, write_rows)

ARGUMENTS = argparse.ArgumentParser(description=__doc__)
ARGUMENTS.add_argument("--kills", type=int, default=10)
ARGUMENTS.add_argument("--seed", type=int, default=7)
ARGUMENTS.add_argument("--requests", type=int, default=120)

# (ranks, degrees of parallelism); dp is what they leave
LAYOUTS = [(1, "tp=1"), (2, "tp=1"), (2, "tp=2"), (2, "pp=2"), (2, "sp=2"), (3, "tp=1"),
           (3, "tp=3"), (4, "tp=2"), (4, "pp=2"), (4, "sp=2"), (4, "tp=1"), (4, "tp=4")]
KILLS_OF_A_JOB = 5


def waits_in(pid):
    """The command and the kernel function that a process sleeps in."""
    with contextlib.suppress(OSError):
        return [Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace").strip()
                for name in ("comm", "wchan")]
    return []


class Campaign(WeftTest):
    options = ARGUMENTS.parse_args([])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        requests = adder_requests(cls.options.requests)
        for number, request in enumerate(requests):
            request["body"] = {"prompt": request["body"]["prompt"], "max_tokens": 4 + number % 60}
        requests[3]["body"]["top_p"] = 2
        case = cls()
        cls.job = case.write_job("whole", write_rows(cls.folder / "prompts.jsonl", requests),
                                 sampling__temperature=1.5, sampling__ignore_eos=True,
                                 engine__max_sequences=3, output__digest=True,
                                 output__trace=True)
        began = time.monotonic()
        cls.whole = case.run_job(cls.job, cls.folder / "whole", status=3)
        cls.seconds = time.monotonic() - began

    def launch(self, output, ranks, degrees):
        return start("run", self.job, "--set", f"output.dir={output}", "--set",
                     f"parallel.{degrees}", "--set", f"engine.max_sequences={ranks + 1}",
                     ranks=ranks)

    def strike(self, process, how, numbers):
        """Kills part of a job, and waits until all ranks are gone: none may be left waiting.

        mpirun itself sometimes stays behind, asleep and without ranks, when they die while it starts
        or ends them: it is counted, and killed.
        """
        ranks = ranks_of(process.pid)
        if how == "all" or not ranks:
            kill_family(process)
            return
        if how == "launcher":
            send(process.pid, signal.SIGKILL)
        else:
            for victim in numbers.sample(ranks, 1 if how == "one rank" else (len(ranks) + 1) // 2):
                send(victim, signal.SIGKILL)
        try:
            wait_until(lambda: not ranks_of(process.pid) and not any(map(runs, ranks)),
                       f"all ranks to end after a kill of {how}")
            wait_until(lambda: process.poll() is not None, "mpirun to end", limit=20)
        except AssertionError as error:
            left = {pid: waits_in(pid) for pid in family(process.pid)}
            if any(map(runs, ranks)) or set(left) != {process.pid}:
                raise AssertionError(f"{error}; left: {left}") from None
            kill_family(process)
            self.launchers_left += 1

    def test_campaign(self):
        numbers = random.Random(self.options.seed)
        kills = Counter()
        self.launchers_left = early = jobs = 0
        while sum(kills.values()) < self.options.kills:
            output = self.folder / f"job-{jobs}"
            jobs += 1
            before = sum(kills.values())
            layout = None
            for _ in range(min(KILLS_OF_A_JOB, self.options.kills - before)):
                layout = numbers.choice([other for other in LAYOUTS if other != layout])
                how = numbers.choice(["one rank", "half of the ranks", "launcher", "all"])
                process = self.launch(output, *layout)
                try:
                    # Now and then before the first row, or among the last files that are written.
                    time.sleep(numbers.uniform(0, 1.5 * self.seconds))
                    if process.poll() is None:
                        self.strike(process, how, numbers)
                        kills[how] += 1
                    else:
                        self.assertEqual(process.returncode, 3)
                        early += 1
                finally:
                    if process.poll() is None:
                        kill_family(process)
                if (output / "results.jsonl").exists():
                    break
            ranks, degrees = numbers.choice([other for other in LAYOUTS if other != layout])
            results = self.run_job(self.job, output, f"parallel.{degrees}", ranks=ranks, status=3)
            self.assert_same_rows(results, self.whole, f"job {jobs} on {ranks} ranks, {degrees}")
            self.assertTrue((output / "summary.json").exists())
        print(f"{sum(kills.values())} kills ({dict(kills)}) of {jobs} jobs; "
              f"{early} ended before they were killed; "
              f"mpirun stayed behind without ranks {self.launchers_left} times")


if __name__ == "__main__":
    known, rest = ARGUMENTS.parse_known_args()
    Campaign.options = known
    sys.argv[1:] = rest
    main()
