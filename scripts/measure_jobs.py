#!/usr/bin/env python3
"""Completes files of prompts through a synthetic model, as a whole and killed in the middle.

For example, with the published files of GSM8K and HumanEval, and a folder with the model's own
tokenizer files:

  scripts/measure_jobs.py Qwen3-0.6B/config.json Qwen3-0.6B --layers 7 \\
    --prompts gsm8k_test.jsonl question --prompts HumanEval.jsonl.gz prompt

Each file is completed in one run on the first layout; then again, ended by SIGKILL when half of the
rows are in the journal, and completed by the same command on the second layout. Rows, tokens and
seconds are printed, with a digest of each results.jsonl; exits with 1 when the bytes differ. The
program is build/bin/weft, or WEFT_BINARY.
"""

import argparse
import gzip
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))
# pylint: disable=wrong-import-position
from weft_e2e import EXIT_OK, EXIT_SOME_FAILED, command, kill_family, run_to_end, start, wait_until

LIMIT = 24 * 3600  # seconds, for one run


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="config.json of the model's shape")
    parser.add_argument("tokenizer", type=Path, help="folder with tokenizer files")
    parser.add_argument("--prompts", nargs=2, action="append", required=True,
                        metavar=("FILE", "FIELD"), help="JSON lines, and the member with the prompt")
    parser.add_argument("--requests", type=int, help="only that many of each file")
    parser.add_argument("--tokens", type=int, default=8, help="generated for each (8)")
    parser.add_argument("--layers", default="auto", help="run the first layers only (all)")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--first", default="dp=2", help="layout, such as tp=2,pp=2 (dp=2)")
    parser.add_argument("--second", default="tp=2", help="where a killed job goes on (tp=2)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def checked(vector, wanted=(EXIT_OK,)):
    result = run_to_end(vector, "", LIMIT)
    if result.status not in wanted:
        sys.exit(str(result))
    return result


def synthetic_model(options, folder):
    """A model of the config's shape, with the tokenizer beside it."""
    source = folder / "source"
    source.mkdir()
    for file in options.tokenizer.iterdir():
        if file.is_file() and file.suffix not in (".safetensors", ".bin", ".h5"):
            shutil.copy(file, source)
    shutil.copy(options.config, source / "config.json")
    checked(command("synth", source / "config.json", folder / "model"))
    return folder / "model"


def first_lines(file, count, target):
    """The first lines of a file, which may be packed; the file itself without a count."""
    if count is None:
        return file
    with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as lines:
        target.write_bytes(b"".join(line for _, line in zip(range(count), lines)))
    return target


class Jobs:
    """The runs of one prompt file."""

    def __init__(self, options, folder, model, file, field):
        self.options = options
        self.folder = folder / Path(file).name
        self.folder.mkdir()
        prompts = first_lines(Path(file).resolve(), options.requests, self.folder / "prompts.jsonl")
        self.job = self.folder / "job.yaml"
        self.job.write_text(json.dumps({
            "model": str(model),
            "input": {"file": str(prompts), "format": "jsonl", "field": field},
            "sampling": {"temperature": 0, "max_tokens": options.tokens},
            "engine": {"layers": options.layers if options.layers == "auto"
                       else int(options.layers)},
            "output": {"dir": str(self.folder / "out"), "digest": True}}), encoding="utf-8")

    def words(self, name, layout):
        """What follows `weft` on the command line."""
        settings = [f"output.dir={self.folder / name}", *self.options.set,
                    *(f"parallel.{axis}" for axis in layout.split(","))]
        return ["run", self.job, *(word for item in settings for word in ("--set", item))]

    def run(self, name, layout):
        """Runs the job to its end, says how it went and gives the digest of its results."""
        checked(command(*self.words(name, layout), ranks=self.options.ranks),
                (EXIT_OK, EXIT_SOME_FAILED))
        summary = json.loads((self.folder / name / "summary.json").read_text(encoding="utf-8"))
        results = (self.folder / name / "results.jsonl").read_bytes()
        digest = hashlib.sha256(results).hexdigest()
        requests, tokens, seconds = (summary[key] for key in ("requests", "tokens", "seconds"))
        print(f"  {name}: {layout} on {self.options.ranks} ranks, each {summary['processor']}\n"
              f"    rows     {results.count(10)}: {requests['succeeded']} done, "
              f"{requests['failed']} failed; {requests['resumed']} by earlier runs\n"
              f"    tokens   {tokens['prompt']} in, {tokens['completion']} out; "
              f"{tokens['prompt_per_second']:.1f} in/s, {tokens['completion_per_second']:.1f} out/s\n"
              f"    seconds  {seconds['wall']:.1f}, of these loading {seconds['load']:.1f}\n"
              f"    memory   {summary['memory_bytes']['peak'] / 2**30:.2f} GiB at most on a rank\n"
              f"    sha256   {digest}", flush=True)
        return digest

    def rows(self, name):
        return sum(part.read_bytes().count(b"\n")
                   for part in (self.folder / name / "journal").glob("part-*.jsonl"))

    def kill(self, name, layout, rows):
        """Starts the job, and ends it and its launcher at once when it has that many rows."""
        process = start(*self.words(name, layout), ranks=self.options.ranks)
        try:
            wait_until(lambda: self.rows(name) >= rows or process.poll() is not None,
                       f"{rows} rows", limit=LIMIT, pause=0.05)
        finally:
            kill_family(process)
        print(f"  {name}: {layout}, SIGKILL with {self.rows(name)} rows in the journal")


def main():
    options = arguments()
    folder = Path(tempfile.mkdtemp(prefix="weft-jobs-"))
    differ = False
    try:
        model = synthetic_model(options, folder)
        for file, field in options.prompts:
            print(f"{Path(file).name}: {options.tokens} tokens each, layers: {options.layers}")
            jobs = Jobs(options, folder, model, file, field)
            whole = jobs.run("whole", options.first)
            count = (jobs.folder / "whole" / "results.jsonl").read_bytes().count(b"\n")
            jobs.kill("killed", options.first, max(1, count // 2))
            same = jobs.run("killed", options.second) == whole
            print("  the bytes are the same" if same else "  THE BYTES DIFFER")
            differ = differ or not same
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
