#!/usr/bin/env python3
"""Nothing is lost: jobs that are killed anywhere, run again, end with the bytes of a whole run."""

import json
import random
import shutil
import signal
import time

from weft_e2e import (EXIT_OK, EXIT_RESUMABLE, WeftTest, adder_requests, kill_family, main,
                      ranks_of, runs, send, start, wait_until, weft, write_rows)

KILLS = 9
# (ranks, degrees of parallelism); dp is what they leave
LAYOUTS = [(None, "tp=1"), (2, "tp=1"), (2, "pp=2"), (2, "tp=2"), (2, "sp=2"), (3, "tp=3"),
           (4, "tp=2"), (3, "tp=1"), (4, "tp=4")]

# One sequence at a time, and ends that do not end: rows come slowly, one by one.
SLOW = {"sampling__temperature": 1.5, "sampling__ignore_eos": True, "sampling__max_tokens": 64,
        "engine__max_sequences": 1, "output__digest": True}


def bare(request):
    """A request without parameters of its own but its prompt."""
    return {**request, "body": {"prompt": request["body"]["prompt"]}}


def journal_rows(output):
    """How many complete rows the journal holds."""
    return sum(part.read_bytes().count(b"\n") for part in (output / "journal").glob("part-*.jsonl"))


class Resume(WeftTest):
    """The job that the tests interrupt, and its results without interruption."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        requests = [bare(request) for request in adder_requests(300)]
        requests[10]["body"]["top_p"] = 2  # a request that fails is remembered too
        cls.prompts = write_rows(cls.folder / "prompts.jsonl", requests)
        case = cls()
        cls.job = case.write_job("whole", cls.prompts, **SLOW)
        cls.whole = case.run_job(cls.job, cls.folder / "whole", status=3)

    def start_job(self, output, ranks, degrees):
        return start("run", self.job, "--set", f"output.dir={output}", "--set",
                     f"parallel.{degrees}", ranks=ranks)

    def kill_after(self, output, rows, ranks=None, degrees="tp=1", delay=0.0):
        """Runs the job until it has that many new rows, and kills all of it a moment later."""
        before = journal_rows(output)
        process = self.start_job(output, ranks, degrees)
        wait_until(lambda: journal_rows(output) >= before + rows or process.poll() is not None,
                   f"{rows} rows")
        time.sleep(delay)
        killed = process.poll() is None
        kill_family(process)
        return killed

    def finish(self, output, ranks=None, degrees="tp=1"):
        """Runs the job to its end: the bytes are those of the whole run."""
        results = self.run_job(self.job, output, f"parallel.{degrees}", ranks=ranks, status=3)
        self.assert_same_rows(results, self.whole, f"{output.name}, {degrees} on {ranks} ranks")

    def test_kills_at_random_moments(self):
        """Each time on another layout; most in the middle, some at the start."""
        random_numbers = random.Random(2024)
        output = self.folder / "killed"
        for kill in range(KILLS):
            ranks, degrees = LAYOUTS[kill % len(LAYOUTS)]
            rows = random_numbers.randint(1, 8)
            delay = random_numbers.uniform(0, 0.01)
            self.assertTrue(self.kill_after(output, rows, ranks, degrees, delay),
                            f"the job ended before kill {kill}")
            self.assertFalse((output / "results.jsonl").exists())
        for _ in range(3):  # before, while or after the model is loaded
            process = self.start_job(output, 2, "tp=2")
            time.sleep(random_numbers.uniform(0, 0.4))
            kill_family(process)
        done = journal_rows(output)
        self.assertGreaterEqual(done, KILLS)
        self.finish(output, 3, "tp=3")
        summary = json.loads((output / "summary.json").read_text())
        self.assertGreaterEqual(summary["requests"]["resumed"], done - KILLS)
        self.assertEqual(summary["requests"]["total"], 300)

    def test_torn_and_damaged_journal(self):
        output = self.folder / "torn"
        self.assertTrue(self.kill_after(output, 12, 2, "tp=1"))
        parts = sorted((output / "journal").glob("part-*.jsonl"))
        for part in parts:  # a tail cut anywhere in the last line
            data = part.read_bytes()
            if data:
                last = data.rstrip(b"\n").rfind(b"\n") + 1
                part.write_bytes(data[:last + (len(data) - last) // 2])
        self.assertTrue(self.kill_after(output, 3, 4, "tp=2"))
        part = max(parts, key=lambda path: path.stat().st_size)
        lines = part.read_bytes().splitlines(True)
        lines[1] = lines[1].replace(b'"finish_reason":"length"', b'"finish_reason":"lengtH"')
        part.write_bytes(b"".join(lines) + b'{"index":7,"ok":true,"dig')
        with open(output / "journal" / "part-0042.jsonl", "wb") as stray:
            stray.write(b"\0" * 100)
        self.finish(output, 3, "tp=1")

    def test_unfinished_results_are_not_results(self):
        output = self.folder / "half-merged"
        self.run_job(self.job, output, status=3)
        (output / "results.jsonl").rename(output / "results.jsonl.tmp")
        with open(output / "results.jsonl.tmp", "r+b") as partial:
            partial.truncate(1000)
        self.finish(output, 2, "tp=2")

    def test_results_need_no_weights(self):
        """Killed between its last row and its results, a job is completed without the weights."""
        output = self.folder / "all-rows"
        self.run_job(self.job, output, status=3)
        whole = json.loads((output / "summary.json").read_text())
        model = self.folder / "no-weights"
        shutil.copytree(self.model, model)
        for shard in model.glob("*.h5"):
            shard.unlink()
        (output / "summary.json").write_text("of an earlier run")
        for ranks, degrees in [(None, "tp=1"), (3, "tp=3")]:
            with self.subTest(ranks=ranks):
                (output / "results.jsonl").unlink()
                (output / "timings.h5").unlink()
                found = self.run_job(self.job, output, f"model={model}", f"parallel.{degrees}",
                                     ranks=ranks, status=3)
                self.assert_same_rows(found, self.whole, "without weights")
                summary = json.loads((output / "summary.json").read_text())
                self.assertEqual(summary["requests"], {**whole["requests"], "resumed": 300})
                self.assertEqual(summary["seconds"]["load"], 0)
                for kind in ("prompt", "completion"):
                    self.assertEqual(summary["tokens"][kind], whole["tokens"][kind])
                self.assertTrue((output / "timings.h5").exists())
        (output / "results.jsonl").unlink()
        other = weft("run", self.job, "--set", f"output.dir={output}", "--set", f"model={model}",
                     "--set", "sampling.seed=9", ranks=2)
        self.assert_refused(other, "sampling.seed was 0, is 9")
        self.assertFalse((output / "results.jsonl").exists())
        part = next((output / "journal").glob("part-*.jsonl"))
        part.write_bytes(part.read_bytes()[:-1])  # one row less: now they are needed
        needed = weft("run", self.job, "--set", f"output.dir={output}", "--set", f"model={model}")
        self.assert_refused(needed, r"\.h5")
        self.finish(output, 2, "tp=2")

    def test_finished_job_is_left_alone(self):
        output = self.folder / "finished"
        few = write_rows(self.folder / "few.jsonl", adder_requests(5))
        job = self.write_job("finished", few, sampling__temperature=0)
        self.run_job(job, output)
        before = {path: (path.stat().st_mtime_ns, path.read_bytes())
                  for path in output.rglob("*") if path.is_file() and path.name != "lock"}
        for ranks, tp in [(None, 1), (3, 3)]:
            with self.subTest(ranks=ranks):
                again = weft("run", job, "--set", f"parallel.tp={tp}", ranks=ranks)
                self.assertEqual(again.status, EXIT_OK, again)
                self.assertRegex(again.out, "complete already.*nothing to do")
        after = {path: (path.stat().st_mtime_ns, path.read_bytes())
                 for path in output.rglob("*") if path.is_file() and path.name != "lock"}
        self.assertEqual(after, before)

    def test_another_job_is_refused(self):
        """What decides the bits may not change; the message says what did, and nothing is lost."""
        output = self.folder / "changed"
        self.assertTrue(self.kill_after(output, 3))
        other_model = self.folder / "other-model"
        synthesized = weft("synth", self.config_of_model(), other_model)
        self.assertEqual(synthesized.status, EXIT_OK, synthesized)
        rows = [bare(request) for request in adder_requests(300)]
        rows[299]["body"]["prompt"] = "1+1="
        other_prompts = write_rows(self.folder / "other-prompts.jsonl", rows)
        changes = [
            ("sampling.temperature=0", "sampling.temperature was 1.5, is 0"),
            ("sampling.seed=9", "sampling.seed was 0, is 9"),
            ("sampling.stop=[\"7\"]", "sampling.stop"),
            ("output.digest=false", "output.digest was true, is false"),
            ("engine.layers=2", "engine.layers"),
            ("engine.max_sequence_length=512", "engine.max_sequence_length"),
            (f"input.file={other_prompts}", "the prompt file"),
            (f"model={other_model}", "the model"),
        ]
        for number, (setting, pattern) in enumerate(changes):
            ranks = 3 if number < 2 else None
            with self.subTest(setting=setting, ranks=ranks):
                refused = weft("run", self.job, "--set", f"output.dir={output}", "--set", setting,
                               ranks=ranks)
                self.assert_refused(refused, pattern, "another job")
                self.assertFalse((output / "results.jsonl").exists())
        self.finish(output)
        finished = weft("run", self.job, "--set", f"output.dir={output}", "--set",
                        "sampling.temperature=0")
        self.assert_refused(finished, "sampling.temperature was 1.5, is 0")
        self.assertEqual((output / "results.jsonl").read_bytes(), self.whole)

    def config_of_model(self):
        """The model's config.json in a folder of its own."""
        folder = self.folder / "config"
        folder.mkdir(exist_ok=True)
        manifest = json.loads((self.model / "weft.json").read_text())
        (folder / "config.json").write_text(json.dumps(manifest["config"]))
        return folder / "config.json"

    def test_what_may_change(self):
        """Files may move, and everything that decides only about speed may change."""
        output = self.folder / "may-change"
        self.assertTrue(self.kill_after(output, 5, 2, "tp=2"))
        moved_model = self.folder / "moved-model"
        moved_prompts = self.folder / "moved.jsonl"
        shutil.copytree(self.model, moved_model)
        shutil.copy(self.prompts, moved_prompts)
        moved_output = self.folder / "moved-output"
        output.rename(moved_output)
        results = self.run_job(self.job, moved_output, f"model={moved_model}",
                               f"input.file={moved_prompts}", "engine.max_sequences=64",
                               "engine.max_batch_tokens=50", "engine.kv_block=64",
                               "engine.threads=1", status=3)
        self.assert_same_rows(results, self.whole, "moved")

    def test_two_runs_at_once(self):
        output = self.folder / "twice"
        first = self.start_job(output, 2, "tp=1")
        try:
            wait_until(lambda: journal_rows(output) > 0, "the first row")
            send(first.pid, signal.SIGSTOP)  # it cannot end before the second one has looked
            for rank in ranks_of(first.pid):
                send(rank, signal.SIGSTOP)
            self.assertFalse((output / "results.jsonl").exists())
            for ranks in (None, 3):
                with self.subTest(ranks=ranks):
                    second = weft("run", self.job, "--set", f"output.dir={output}", ranks=ranks)
                    self.assert_refused(second, "another run", output.name)
            for pid in [*ranks_of(first.pid), first.pid]:
                send(pid, signal.SIGCONT)
            self.assertEqual(first.wait(timeout=120), 3)
        finally:
            if first.poll() is None:
                kill_family(first)
        self.assert_same_rows((output / "results.jsonl").read_bytes(), self.whole, "the first run")

    def test_death_of_one_rank_ends_the_job(self):
        for victim, tp in [(0, 3), (2, 3), (1, 1)]:
            with self.subTest(rank=victim, tp=tp):
                output = self.folder / f"victim-{victim}-{tp}"
                process = self.start_job(output, 3, f"tp={tp}")
                try:
                    wait_until(lambda out=output: journal_rows(out) > 0, "the first row")
                    ranks = sorted(ranks_of(process.pid))
                    self.assertEqual(len(ranks), 3)
                    send(ranks[victim], signal.SIGKILL)
                    began = time.monotonic()
                    self.assertNotEqual(process.wait(timeout=30), 0)
                    wait_until(lambda all_ranks=ranks: not any(map(runs, all_ranks)),
                               "the other ranks to end", limit=30 - (time.monotonic() - began))
                finally:
                    if process.poll() is None:
                        kill_family(process)
                self.assertFalse((output / "results.jsonl").exists())
                self.finish(output, 2, "tp=1")

    def test_signals_stop_between_steps(self):
        """What schedulers send before they kill: the job stops by itself, and can go on."""
        for number, (ranks, sent) in enumerate([(None, signal.SIGTERM), (None, signal.SIGUSR1),
                                                (3, signal.SIGUSR1)]):
            with self.subTest(ranks=ranks, signal=sent.name):
                output = self.folder / f"signal-{number}"
                process = self.start_job(output, ranks, "tp=1")
                try:
                    wait_until(lambda out=output: journal_rows(out) > 0, "the first row")
                    send(process.pid, sent)  # mpirun passes SIGUSR1 on to its ranks
                    self.assertEqual(process.wait(timeout=30), EXIT_RESUMABLE)
                finally:
                    if process.poll() is None:
                        kill_family(process)
                self.assertFalse((output / "results.jsonl").exists())
                self.finish(output, 2, "tp=2")
                self.check_all_runs(output)

    def check_all_runs(self, output):
        """The summary tells what both runs come to beside what the last one did."""
        summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        of_all = summary["all_runs"]
        self.assertEqual((of_all["runs"], of_all["killed"]), (2, 0))
        self.assertEqual(of_all["requests"], 300)
        usages = [row["response"]["body"]["usage"] for row in map(json.loads, self.whole.splitlines())
                  if row["response"]["body"]]
        for kind in ("prompt_tokens", "completion_tokens"):
            self.assertEqual(of_all[kind], sum(usage[kind] for usage in usages))
        self.assertGreater(of_all["completion_tokens"], summary["tokens"]["completion"])
        self.assertGreater(of_all["wall_seconds"], summary["seconds"]["wall"])


if __name__ == "__main__":
    main()
