#!/usr/bin/env python3
"""What a setting costs: runs one job with either value in turn, and compares the medians.

  scripts/compare_setting.py job.yaml output.trace false true --ranks 2 --times 7

Prints for each value the median, the least and the most of three times: wall seconds, the same
without loading, and the processors' seconds of all ranks together, launcher included. Then the
median, over the pairs of runs that followed each other, of what the second value costs. Which of
the two comes first changes from pair to pair. The program is build/bin/weft, or WEFT_BINARY.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))
# pylint: disable=wrong-import-position
from weft_e2e import ENVIRONMENT, EXIT_OK, EXIT_SOME_FAILED, command

TIMES = ("wall", "without loading", "processors")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    parser.add_argument("key")
    parser.add_argument("values", nargs=2, metavar="VALUE")
    parser.add_argument("--ranks", type=int)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def seconds_of_run(options, value):
    """Runs the job once, into a folder of its own: the times by name."""
    with tempfile.TemporaryDirectory(prefix="weft-compare-") as output:
        settings = [f"output.dir={output}/out", *options.set, f"{options.key}={value}"]
        vector = command("run", options.job, *(word for item in settings for word in
                                               ("--set", item)), ranks=options.ranks)
        with subprocess.Popen(vector, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              env=ENVIRONMENT) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (EXIT_OK, EXIT_SOME_FAILED):
            sys.exit(f"exit status {process.returncode}: {' '.join(vector)}")
        summary = json.loads(Path(output, "out", "summary.json").read_text(encoding="utf-8"))
    wall = summary["seconds"]["wall"]
    return dict(zip(TIMES, (wall, wall - summary["seconds"]["load"],
                            usage.ru_utime + usage.ru_stime)))


def main():
    options = arguments()
    seconds_of_run(options, options.values[0])  # files come into the cache
    runs = {value: [] for value in options.values}
    for time in range(options.times):
        for value in options.values if time % 2 == 0 else options.values[::-1]:
            runs[value].append(seconds_of_run(options, value))
    for name in TIMES:
        first, second = ([run[name] for run in runs[value]] for value in options.values)
        for value, seconds in zip(options.values, (first, second)):
            print(f"{name}, {options.key}={value}: {statistics.median(seconds):.3f} s "
                  f"({min(seconds):.3f} to {max(seconds):.3f})")
        costs = [100 * (b / a - 1) for a, b in zip(first, second)]
        print(f"  costs {statistics.median(costs):+.2f} % ({min(costs):+.2f} to {max(costs):+.2f})")


if __name__ == "__main__":
    main()
