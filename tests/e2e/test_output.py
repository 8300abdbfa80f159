#!/usr/bin/env python3
"""What a run leaves beside its results, and how it is told to stop, to go on and to try again."""

import collections
import gzip
import json
import os
import re
import struct
import subprocess
import time

from weft_e2e import (ENVIRONMENT, EXIT_OK, EXIT_RESUMABLE, EXIT_SOME_FAILED, WeftTest,
                      adder_requests, command, completion_request, main, read_rows, weft, write_rows)

PHASES = {"forward", "attention", "ffn", "communication", "logits", "sampling", "output", "bubble",
          "waiting", "other", "load"}


class Output(WeftTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        requests = adder_requests(60)
        requests[7]["body"]["top_p"] = 2
        cls.requests = requests
        cls.prompts = write_rows(cls.folder / "prompts.jsonl", requests)
        case = cls()
        cls.job = case.write_job("whole", cls.prompts, sampling__temperature=0)
        cls.whole = case.run_job(cls.job, cls.folder / "whole", status=EXIT_SOME_FAILED)

    def summary(self, output):
        return json.loads((output / "summary.json").read_text())

    def test_summary(self):
        output = self.folder / "summary"
        self.run_job(self.job, output, "parallel.tp=2", ranks=4, status=EXIT_SOME_FAILED)
        summary = self.summary(output)
        self.assertEqual(summary["requests"], {"total": 60, "succeeded": 59, "failed": 1,
                                               "resumed": 0, "non_finite_logits": 0})
        rows = [row for row in read_rows(output / "results.jsonl") if row["error"] is None]
        usage = [row["response"]["body"]["usage"] for row in rows]
        for kind in ("prompt", "completion"):
            self.assertEqual(summary["tokens"][kind],
                             sum(counts[f"{kind}_tokens"] for counts in usage))
        phases = summary["seconds_by_phase"]
        self.assertEqual(set(phases), PHASES)
        for name, phase in phases.items():
            self.assertLessEqual(phase["min"], phase["avg"] + 1e-9, name)
            self.assertLessEqual(phase["avg"], phase["max"] + 1e-9, name)
            self.assertIn(phase["slowest_rank"], range(4))
            self.assertTrue(phase["slowest_host"])
        # A replica may have come too late for any of so little work.
        for name, figure in [("attention", "max"), ("ffn", "max"), ("communication", "max"),
                             ("load", "min")]:
            self.assertGreater(phases[name][figure], 0, name)
        self.assertLess(sum(phase["avg"] for phase in phases.values()),
                        summary["seconds"]["wall"])
        self.assertLess(summary["ttft_seconds"]["p50"], summary["seconds"]["wall"])
        self.assertGreater(summary["memory_bytes"]["planned"], 0)

    def test_environment(self):
        """Each rank is on a host with cores of its own and has used them; the variables are there."""
        output = self.folder / "environment"
        result = weft("run", self.job, "--metrics", "-o", output, "--set", "parallel.tp=2", ranks=2)
        self.assertEqual(result.status, EXIT_SOME_FAILED, result)
        summary = self.summary(output)
        environment = summary["environment"]
        self.assertEqual([rank["rank"] for rank in environment["ranks"]], [0, 1])
        names = {host["name"] for host in environment["hosts"]}
        self.assertEqual(len(names), len(environment["hosts"]))
        for rank in environment["ranks"]:
            self.assertIn(rank["host"], names)
            self.assertRegex(rank["cores"], r"^\d+(-\d+)?(,\d+(-\d+)?)*$")
            self.assertGreater(rank["cpu_seconds"], 0)
        self.assertGreater(environment["hosts"][0]["memory_bytes"], 2**20)
        self.assertEqual(environment["variables"]["OMP_WAIT_POLICY"], "passive")
        self.assertTrue(environment["mpi"])
        self.assertGreaterEqual(summary["latency_seconds"]["p50"], summary["ttft_seconds"]["p50"])
        self.assertGreater(summary["batch"]["occupancy"], 0)
        self.assertLessEqual(summary["batch"]["occupancy"], 1)
        metrics = dict(re.findall(r"^weft-metric (\S+) (\S+) \S+$", result.err, re.MULTILINE))
        self.assertEqual(int(metrics["requests_succeeded"]), 59)
        self.assertAlmostEqual(float(metrics["latency_p50"]), summary["latency_seconds"]["p50"])

    def test_bubble(self):
        """How much of the ranks' time went to waiting for other stages is said in the report."""
        for name, settings, ranks in [("pp", ["parallel.pp=2"], 2), ("tp", ["parallel.tp=2"], 2)]:
            with self.subTest(axis=name):
                output = self.folder / f"bubble-{name}"
                result = weft("run", self.job, *[word for item in [
                    f"output.dir={output}", *settings] for word in ("--set", item)], ranks=ranks)
                self.assertEqual(result.status, EXIT_SOME_FAILED, result)
                self.assert_same_rows((output / "results.jsonl").read_bytes(), self.whole, name)
                summary = self.summary(output)
                phases = summary["seconds_by_phase"]
                share = phases["bubble"]["avg"] / sum(phase["avg"] for phase in phases.values())
                self.assertAlmostEqual(summary["bubble_share"], share)
                said = re.findall(r"(?m)^  bubble +([\d.]+)% of the ranks' time", result.out)
                if name == "pp":
                    self.assertGreater(phases["bubble"]["max"], 0)
                    self.assertGreater(share, 0)
                    self.assertLess(share, 1)
                    self.assertEqual(said, [f"{100 * share:.1f}"])
                else:
                    self.assertLess(share, 0.001)
                    self.assertEqual(said, [])

    def test_trace(self):
        output = self.folder / "trace"
        self.run_job(self.job, output, "parallel.tp=2", "output.trace=true", ranks=4,
                     status=EXIT_SOME_FAILED)
        events = json.loads((output / "trace.json").read_text())
        names = {event["pid"]: event["args"]["name"] for event in events
                 if event["name"] == "process_name"}
        self.assertEqual(len(names), 4)
        self.assertRegex(names[3], r"^rank 3 dp1 pp0 sp0 tp1 on \S+")
        clocks = [event["args"] for event in events if event["name"] == "weft_clock"]
        self.assertEqual(len(clocks), 4)
        for clock in clocks:
            for when in ("begin", "end"):  # all ranks are on one host
                self.assertLessEqual(abs(clock[f"offset_us_{when}"]),
                                     clock[f"uncertainty_us_{when}"])
            self.assertEqual(clock["dropped_spans"], 0)
        spans = [event for event in events if event["ph"] == "X"]
        busy = []  # a replica may have come too late for any of so little work
        for rank in range(4):
            found = {span["name"] for span in spans if span["pid"] == rank}
            self.assertIn("load", found)
            if "attention" not in found:
                continue
            busy.append(rank)
            self.assertLessEqual({"prefill", "decode", "ffn", "communication", "logits",
                                  "sampling"}, found)
            if rank % 2 == 0:
                self.assertIn("output", found)
        self.assertIn(busy, [[0, 1], [2, 3], [0, 1, 2, 3]])
        self.assert_nested(spans)
        # Attention computes in each layer of each step.
        of_rank = collections.Counter(span["name"] for span in spans if span["pid"] == busy[0])
        steps = of_rank["prefill"] + of_rank["mixed"] + of_rank["decode"]
        layers = len(json.loads((self.model / "weft.json").read_text())["config"]
                     .get("layer_types") or []) or self.layers()
        self.assertEqual(of_rank["attention"], steps * layers)
        self.assertEqual(of_rank["ffn"], steps * layers)
        wall = self.summary(output)["seconds"]["wall"] * 1e6
        self.assertTrue(all(0 <= span["ts"] <= wall for span in spans))

    def layers(self):
        config = json.loads((self.model / "weft.json").read_text())["config"]
        return config["num_hidden_layers"]

    def assert_nested(self, spans):
        """Spans of one track lie within or behind one another."""
        tracks = collections.defaultdict(list)
        for span in spans:
            tracks[span["pid"], span["tid"]].append((span["ts"], span["ts"] + span["dur"]))
        for track, times in tracks.items():
            open_ends = []
            for begin, end in sorted(times, key=lambda time: (time[0], -time[1])):
                while open_ends and open_ends[-1] <= begin + 0.0015:
                    open_ends.pop()
                if open_ends:
                    self.assertLessEqual(end, open_ends[-1] + 0.0015, track)
                open_ends.append(end)

    def timed_requests(self, output):
        """The records of journal/timings, as dictionaries: docs/reference/formats.md, timings.h5."""
        names = ["index", "queued", "first_token", "finished", "prompt_tokens",
                 "completion_tokens", "cached_prompt_tokens", "run", "replica", "finish_reason"]
        return [dict(zip(names, record))
                for part in sorted((output / "journal" / "timings").glob("requests-*.bin"))
                for record in struct.iter_unpack("<qdddqqqiii4x", part.read_bytes())]

    def test_a_prompt_counts_once(self):
        """In the report and in the records as in "usage", however many choices it has."""
        prompts = write_rows(self.folder / "choices.jsonl", adder_requests(6, n=3))
        job = self.write_job("choices", prompts, sampling__temperature=0)
        rows = self.run_job(job, self.folder / "choices").splitlines()
        usage = [json.loads(row)["response"]["body"]["usage"] for row in rows]
        summary = self.summary(self.folder / "choices")
        records = self.timed_requests(self.folder / "choices")
        for kind in ("prompt_tokens", "completion_tokens"):
            counted = sum(counts[kind] for counts in usage)
            self.assertEqual(summary["tokens"][kind[:-len("_tokens")]], counted)
            self.assertEqual(sum(record[kind] for record in records), counted)

    def test_shared_prefixes(self):
        """What requests have in common is computed once, and the report says so."""
        common = "".join(f"{n}+{n}={2 * n};" for n in range(30))
        prompts = write_rows(self.folder / "shared.jsonl",
                             [completion_request(f"r{n}", f"{common}{n}+1=") for n in range(20)])
        # Fractions so small that they bound the cache, and not what the sequences could need.
        job = self.write_job("shared", prompts, sampling__temperature=0, engine__kv_memory=0.002,
                             engine__kv_block=16)
        results = self.run_job(job, self.folder / "shared")
        apart = self.folder / "apart"
        self.assert_same_rows(self.run_job(job, apart, "engine.prefix_sharing=false"), results,
                              "without sharing")
        summary = self.summary(self.folder / "shared")
        sharing = summary["prefix_sharing"]
        cached = [record["cached_prompt_tokens"]
                  for record in self.timed_requests(self.folder / "shared")]
        self.assertEqual(sharing["tokens_taken_over"], sum(cached))
        self.assertEqual(len([tokens for tokens in cached if tokens > 150]), 19, cached)
        self.assertGreater(sharing["hit_rate"], 0.9)
        self.assertEqual(sharing["hit_rate"],
                         sharing["tokens_taken_over"] / sharing["tokens_looked_up"])
        self.assertEqual(self.summary(apart)["prefix_sharing"],
                         {"tokens_looked_up": 0, "tokens_taken_over": 0, "hit_rate": 0})
        self.assertEqual({record["cached_prompt_tokens"]
                          for record in self.timed_requests(apart)}, {0})
        whole = self.folder / "whole-cache"
        self.run_job(job, whole, "engine.kv_memory=0.004")
        self.assertGreater(self.summary(whole)["memory_bytes"]["planned"],
                           summary["memory_bytes"]["planned"])

    def test_no_trace_unless_asked_for(self):
        self.assertFalse((self.folder / "whole" / "trace.json").exists())

    def test_time_limit(self):
        """The job stops by itself, on all ranks, and goes on where it was."""
        # 64 choices each: minutes of work on any machine.
        prompts = write_rows(self.folder / "slow.jsonl",
                             adder_requests(1000, max_tokens=64, n=64, temperature=1))
        slow = {"sampling__ignore_eos": True, "engine__max_sequences": 1}
        job = self.write_job("slow", prompts, **slow)
        for ranks, tp in [(None, 1), (3, 1), (2, 2)]:
            with self.subTest(ranks=ranks, tp=tp):
                output = self.folder / f"limited-{ranks}-{tp}"
                began = time.monotonic()
                result = weft("run", job, "--set", f"output.dir={output}", "--set",
                              "run.time_limit=2s", "--set", f"parallel.tp={tp}", ranks=ranks)
                self.assertEqual(result.status, EXIT_RESUMABLE, result)
                self.assertLess(time.monotonic() - began, 20)
                self.assertIn("stopped before the end", result.out)
                self.assertFalse((output / "results.jsonl").exists())
                self.assertTrue((output / "timings.h5").exists())
        few = self.write_job("slow-few", write_rows(self.folder / "few.jsonl",
                                                    adder_requests(20, max_tokens=8)),
                             run__time_limit="10m")
        self.run_job(few, self.folder / "slow-few")

    def test_retry_failed(self):
        """Rows that failed are computed again, the others kept; the file is replaced as a whole."""
        output = self.folder / "retry"
        self.run_job(self.job, output, ranks=3, status=EXIT_SOME_FAILED)
        plain = weft("run", self.job, "--set", f"output.dir={output}")
        self.assertEqual(plain.status, EXIT_SOME_FAILED, plain)
        self.assertIn("--retry-failed", plain.out)
        before = (output / "results.jsonl").stat().st_ino
        again = weft("run", self.job, "--set", f"output.dir={output}", "--retry-failed", ranks=2)
        self.assertEqual(again.status, EXIT_SOME_FAILED, again)
        self.assertEqual(self.summary(output)["requests"]["resumed"], 59)
        self.assertNotEqual((output / "results.jsonl").stat().st_ino, before)
        self.assert_same_rows((output / "results.jsonl").read_bytes(), self.whole, "retried")
        good = write_rows(self.folder / "good.jsonl", self.requests[:5])
        job = self.write_job("good", good, sampling__temperature=0)
        self.run_job(job, self.folder / "good")
        nothing = weft("run", job, "--retry-failed")
        self.assertEqual(nothing.status, EXIT_OK, nothing)
        self.assertIn("nothing to do", nothing.out)

    def test_killed_after_the_results(self):
        """What a run had still to write when it was killed, the next one writes."""
        output = self.folder / "late"
        self.run_job(self.job, output, ranks=2, status=EXIT_SOME_FAILED)
        whole = self.summary(output)
        for name in ("summary.json", "timings.h5"):
            (output / name).unlink()
        again = weft("run", self.job, "--set", f"output.dir={output}", ranks=3)
        self.assertEqual(again.status, EXIT_SOME_FAILED, again)
        self.assertTrue((output / "timings.h5").exists())
        summary = self.summary(output)
        self.assertEqual(summary["requests"]["succeeded"], 59)
        for kind in ("prompt", "completion"):
            self.assertEqual(summary["tokens"][kind], whole["tokens"][kind])
        self.assertAlmostEqual(summary["ttft_seconds"]["p50"], whole["ttft_seconds"]["p50"],
                               places=6)

    def test_results_changed_by_hand(self):
        output = self.folder / "changed"
        self.run_job(self.job, output, status=EXIT_SOME_FAILED)
        results = output / "results.jsonl"
        results.write_bytes(self.whole.replace(b"create", b"CREATE", 1))
        for ranks in (None, 3):
            self.assert_refused(weft("run", self.job, "--set", f"output.dir={output}", ranks=ranks),
                                r"results\.jsonl: not the file that was made", "move it away")
        results.unlink()
        again = self.run_job(self.job, output, ranks=2, status=EXIT_SOME_FAILED)
        self.assert_same_rows(again, self.whole, "made again")

    def test_packed_prompts(self):
        """A gzip file is its contents, in one member or in several; a damaged one is refused."""
        text = self.prompts.read_bytes()
        half = len(text) // 2
        packed = gzip.compress(text[:half]) + gzip.compress(text[half:])
        file = self.folder / "prompts.gz"
        file.write_bytes(packed)
        for ranks in (None, 2):
            found = self.run_job(self.job, self.folder / f"packed-{ranks}", f"input.file={file}",
                                 ranks=ranks, status=EXIT_SOME_FAILED)
            self.assert_same_rows(found, self.whole, "packed")
        # The contents count, not how they are stored.
        done = weft("run", self.job, "--set", f"output.dir={self.folder}/packed-2")
        self.assertEqual(done.status, EXIT_SOME_FAILED, done)
        self.assertIn("complete already", done.out)
        for name, bad, pattern in [("cut.gz", packed[:-9], "cut off"),
                                   ("damaged.gz", packed[:60] + b"\0\0\0" + packed[63:], "damaged"),
                                   ("cut.zst", b"\x28\xb5\x2f\xfd\x04", "zstd.*cut off")]:
            file = self.folder / name
            file.write_bytes(bad)
            for ranks in (None, 3):
                with self.subTest(file=name, ranks=ranks):
                    refused = weft("run", self.job, "--set", f"input.file={file}", "--set",
                                   f"output.dir={self.folder}/bad-{name}", ranks=ranks)
                    self.assert_refused(refused, name.replace(".", r"\."), pattern)

    def test_no_prompts_and_wrong_prompts(self):
        empty = self.folder / "empty.jsonl"
        empty.write_bytes(b"\n\n")
        for ranks in (None, 3):
            found = self.run_job(self.job, self.folder / f"empty-{ranks}", f"input.file={empty}",
                                 ranks=ranks)
            self.assertEqual(found, b"")
        binary = self.folder / "binary.jsonl"
        binary.write_bytes(bytes(range(256)) * 4)
        shape = self.folder / "shape.jsonl"
        shape.write_text('{"prompt": "1+1="}\n' * 4 + "[1]\n7\n")
        refused = weft("run", self.job, "--set", f"input.file={binary}", "--set",
                       f"output.dir={self.folder}/wrong-binary", ranks=2)
        self.assert_refused(refused, r"binary\.jsonl", "none of the first 5 lines")
        output = self.folder / "wrong-shape"
        self.run_job(self.job, output, f"input.file={shape}", ranks=2, status=EXIT_SOME_FAILED)
        rows = read_rows(output / "results.jsonl")
        self.assertEqual(len(rows), 6)
        self.assertTrue(all(row["error"]["message"] for row in rows))

    def test_memory_does_not_grow_with_the_file(self):
        """A few bytes for each request, however long the lines.

        Measured: 14 to 25 bytes, of which 16 are the place of its row, for the merge in the order of
        the input. Buffers of files have fixed sizes, so that nothing else may come with the number
        of requests; they are filled before 5,000.
        """
        peaks = []
        for count in (5_000, 100_000, 200_000):
            prompts = self.folder / "many.jsonl"
            with open(prompts, "w", encoding="utf-8") as file:
                file.write("{}\n")  # an object among the first lines: the file is of the right kind
                for _ in range(count):  # not at once: the test's own memory counts at the start
                    file.write(f'{{"custom_id": {"1" * 500}}}\n')
            job = self.write_job(f"many-{count}", prompts)
            with subprocess.Popen(command("run", job), stdout=subprocess.DEVNULL,
                                  env=ENVIRONMENT) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, EXIT_SOME_FAILED)
            peaks.append(usage.ru_maxrss * 1024)
        for i, more in [(1, 95_000), (2, 100_000)]:
            self.assertLess(peaks[i] - peaks[i - 1], more * 40, peaks)


if __name__ == "__main__":
    main()
