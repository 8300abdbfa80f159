#!/usr/bin/env python3
"""Compares a results file of the adder model with the right answers.

Usage: check_adder.py RESULTS.jsonl ANSWERS.jsonl [--least PERCENT]

Prints how many completions are exactly right; exits with 1 when fewer than PERCENT (default 99)
are, or when requests are missing.
"""

import argparse
import json
import sys


def read_rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def completion_of(row):
    """The text of a result row, or None for an error row."""
    body = row["response"]["body"] if row.get("response") else None
    return body["choices"][0]["text"] if body else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results")
    parser.add_argument("answers")
    parser.add_argument("--least", type=float, default=99.0, metavar="PERCENT")
    options = parser.parse_args()

    answers = {row["custom_id"]: row["answer"] for row in read_rows(options.answers)}
    completions = {row["custom_id"]: completion_of(row) for row in read_rows(options.results)}
    right = sum(completions.get(key) == answer for key, answer in answers.items())
    percent = 100.0 * right / len(answers)
    print(f"accuracy  {right} of {len(answers)} sums are right ({percent:.1f} %)")
    if completions.keys() != answers.keys():
        print(f"requests without a result: {len(answers.keys() - completions.keys())}")
        return 1
    return 0 if percent >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
