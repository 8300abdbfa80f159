#!/usr/bin/env python3
"""A job is one thing: ranks that fall silent end it everywhere, one signal stops all of it, replicas
share the work as they go, and one may read the weights for all."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from weft_e2e import (EXIT_OK, EXIT_RESUMABLE, WeftTest, completion_request, environment, flip_byte,
                      kill_family, main, ranks_of, runs, send, start, wait_until, weft, write_rows)

WATCHDOG = 5  # seconds
SLACK = 10    # for a busy machine, and for mpirun to end everybody

# One sequence at a time, and ends that do not end: rows come slowly, one by one.
SLOW = {"sampling__temperature": 1.5, "sampling__ignore_eos": True, "sampling__max_tokens": 64,
        "engine__max_sequences": 1, "engine__threads": 1, "engine__watchdog_seconds": WATCHDOG}


def rows_of_parts(output):
    """{name of a journal's part: its rows}."""
    return {part.name: part.read_bytes().count(b"\n")
            for part in sorted((output / "journal").glob("part-*.jsonl"))}


def rank_of(pid):
    """The rank that the launcher has given to a process."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    for variable in variables:
        name, _, value = variable.partition(b"=")
        if name in (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK"):
            return int(value)
    raise AssertionError(f"process {pid} has no rank")


def has_open(pid, name):
    """Whether a process has a file open whose path has `name` in it."""
    with contextlib.suppress(OSError):
        return any(name in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    return False


class Control(WeftTest):
    """Jobs on several ranks, and what is done to one of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        requests = [completion_request(f"r{i}", f"{i}+1=") for i in range(300)]
        cls.prompts = write_rows(cls.folder / "prompts.jsonl", requests)
        case = cls()
        cls.job = case.write_job("whole", cls.prompts, **SLOW)
        cls.whole = case.run_job(cls.job, cls.folder / "whole")

    def start_job(self, output, ranks, degree, axis="tp"):
        """Starts the job; returns its process and the processes of its ranks, in their order, once
        every replica has a row."""
        words = [f"output.dir={output}", f"parallel.{axis}={degree}"]
        process = start("run", self.job, *[w for item in words for w in ("--set", item)],
                        ranks=ranks, err=subprocess.PIPE)
        parts = ranks // degree
        wait_until(lambda: process.poll() is not None
                   or sum(rows > 0 for rows in rows_of_parts(output).values()) == parts,
                   "a row of each replica")
        pids = sorted(ranks_of(process.pid), key=rank_of)
        self.assertEqual(len(pids), ranks)
        return process, pids

    def ends(self, process, pids, limit):
        """The job's status and its messages; all of its ranks are gone."""
        try:
            began = time.monotonic()
            _, err = process.communicate(timeout=limit)
            wait_until(lambda: not any(map(runs, pids)), "all ranks to end",
                       limit=max(1, limit - (time.monotonic() - began)))
        finally:
            if process.poll() is None:
                kill_family(process)
        return process.returncode, re.findall(r"^weft: .*$", err.decode(), flags=re.MULTILINE)

    def finish(self, output, ranks=None, tp=1):
        results = self.run_job(self.job, output, f"parallel.tp={tp}", ranks=ranks)
        self.assert_same_rows(results, self.whole, output.name)

    def test_a_stopped_rank_is_named(self):
        """SIGSTOP: nobody but the others' heartbeats can tell."""
        cases = [("in a replica", 3, 3, 2), ("a whole replica", 3, 1, 1),
                 ("rank 0 of a replica", 4, 2, 0), ("in another replica", 4, 2, 3)]
        for what, ranks, tp, victim in cases:
            with self.subTest(what):
                output = self.folder / f"stopped-{ranks}-{tp}-{victim}"
                process, pids = self.start_job(output, ranks, tp)
                began = time.monotonic()
                send(pids[victim], signal.SIGSTOP)
                status, said = self.ends(process, pids, WATCHDOG + SLACK)
                self.assertEqual(status, EXIT_RESUMABLE)
                self.assertGreater(time.monotonic() - began, WATCHDOG / 2)
                self.assertEqual(len(said), 1, said)
                self.assertRegex(said[0], rf"rank {victim} on \S+ has not been heard of for "
                                          rf"{WATCHDOG} s \(engine.watchdog_seconds\); "
                                          r"(last seen|never heard of before)")
                if tp > 1:
                    self.assertRegex(said[0], r"; ranks? [0-9, -]+ waits? for it in "
                                              r"(all-gather|all-to-all|receive)")
                self.assertFalse((output / "results.jsonl").exists())
                self.finish(output, 2, 2)

    def test_a_rank_that_gets_nothing_done(self):
        """Its service thread is well, and mostly nobody waits for it. Of two replicas, each of one
        rank, one hangs: the file's name says which."""
        shim = self.build_faults()
        computing = r"in step \d+, computing \(output\)"
        cases = [("write", "part-0000", 20, "loop", None, 1, 0, computing),
                 ("read", "shard-", 2, "sleep", None, 1, 0, "loading the weights"),
                 ("write", "part-0001", 20, "sleep", 2, 3, 1, computing),
                 ("begin", "rank-1", 0, "sleep", 2, 1, 0, "in MPI_Init, which waits for all ranks"),
                 ("end", "rank-0", 0, "loop", 2, 1, 0, "in MPI_Finalize, which waits for all")]
        for number, (call, file, after, how, ranks, seconds, rank, doing) in enumerate(cases):
            with self.subTest(call=call, file=file, ranks=ranks):
                output = self.folder / f"hangs-{number}"
                ended = self.hanging_run(shim, (call, file, after, how), output, ranks, seconds)
                self.assertRegex(ended.complaints[0],
                                 rf"^weft: rank {rank} on \S+ has got nothing done for {3 * seconds}"
                                 rf" s \(3 x engine.watchdog_seconds\), {doing}")
                self.finish(output)

    def job_that_hangs(self, ranks):
        """Starts a job whose job file is never read to its end; returns its process and those of its
        ranks, once all of them read."""
        shim = self.build_faults()
        job = self.folder / "hangs.yaml"
        job.write_bytes(self.job.read_bytes())
        with environment(LD_PRELOAD=str(shim), WEFT_FAULT_CALL="read", WEFT_FAULT_FILE=job.name,
                         WEFT_FAULT_AFTER="0", WEFT_FAULT_ERRNO="sleep"):
            process = start("run", job, "--set", f"output.dir={self.folder / 'hangs'}", "--set",
                            "engine.watchdog_seconds=2", ranks=ranks, out=subprocess.PIPE,
                            err=subprocess.PIPE)
        reading = lambda: [pid for pid in ranks_of(process.pid) if has_open(pid, job.name)]
        wait_until(lambda: process.poll() is not None or len(reading()) == (ranks or 1),
                   "all ranks to read the job file")
        return process, sorted(reading(), key=rank_of) if ranks else [process.pid]

    def test_a_job_file_that_hangs(self):
        """MPI has not started yet. The watch's time is the command line's."""
        for ranks, name in [(None, r"process \d+"), (3, "rank [012]")]:
            with self.subTest(ranks=ranks):
                process, pids = self.job_that_hangs(ranks)
                status, said = self.ends(process, pids, 60)
                self.assertEqual(status, EXIT_RESUMABLE)
                self.assertGreaterEqual(len(said), 1)
                self.assertRegex(said[0], rf"^weft: {name} on \S+ has got nothing done for 6 s "
                                          r"\(3 x engine.watchdog_seconds\), reading the job file;")
                self.assertFalse((self.folder / "hangs").exists())

    def test_a_job_file_that_hangs_can_be_stopped(self):
        for ranks, target, sent in [(None, 0, signal.SIGTERM), (3, 0, signal.SIGUSR1),
                                    (3, 2, signal.SIGINT)]:
            with self.subTest(ranks=ranks, target=target, signal=sent.name):
                process, pids = self.job_that_hangs(ranks)
                send(pids[target], sent)
                try:
                    said, _ = process.communicate(timeout=60)
                finally:
                    if process.poll() is None:
                        kill_family(process)
                self.assertEqual(process.returncode, EXIT_RESUMABLE)
                self.assertRegex(said.decode(), r"weft: .*: stopped, reading the job file; nothing is lost")
                wait_until(lambda: not any(map(runs, pids)), "all ranks to end")

    def test_others_wait_for_a_rank_that_gets_nothing_done(self):
        shim = self.build_faults()
        output = self.folder / "hangs-at-the-end"
        fault = ("write", "results.jsonl.tmp", 0, "sleep")
        ended = self.hanging_run(shim, fault, output, ranks=2, seconds=3)
        self.assertRegex(ended.complaints[0],
                         r"^weft: rank 0 on \S+ is behind, writing the results; rank 1 waits for it "
                         r"in broadcast \d+ for 3 s \(engine.watchdog_seconds\)")
        self.finish(output)

    def hanging_run(self, shim, fault, output, ranks, seconds):
        """Runs the job to the end that the watch makes."""
        call, file, after, how = fault
        with environment(LD_PRELOAD=str(shim), WEFT_FAULT_CALL=call, WEFT_FAULT_FILE=file,
                         WEFT_FAULT_AFTER=str(after), WEFT_FAULT_ERRNO=how):
            ended = weft("run", self.job, "--set", f"output.dir={output}", "--set",
                         f"engine.watchdog_seconds={seconds}", ranks=ranks, limit=60)
        self.assertEqual(ended.status, EXIT_RESUMABLE, ended)
        # While MPI starts and ends no rank hears of another's message: the launcher ends them.
        alone = call in ("begin", "end")
        self.assertIn(len(ended.complaints), (1, 2) if alone else (1,), ended)
        return ended

    def test_a_rank_that_stops_at_the_start(self):
        """Wherever MPI and the job are by then; mostly nobody has heard of it yet."""
        for victim, pause in [(1, 0.0), (0, 0.2), (2, 0.3)]:
            with self.subTest(victim=victim, pause=pause):
                process = start("run", self.job, "--set",
                                f"output.dir={self.folder / f'early-{victim}-{pause}'}", "--set",
                                "engine.watchdog_seconds=2", ranks=3, err=subprocess.PIPE)
                wait_until(lambda: len(ranks_of(process.pid)) == 3, "all ranks to begin")
                time.sleep(pause)
                pids = sorted(ranks_of(process.pid), key=rank_of)
                send(pids[victim], signal.SIGSTOP)
                status, said = self.ends(process, pids, 60)
                self.assertEqual(status, EXIT_RESUMABLE)
                self.assertGreaterEqual(len(said), 1)
                self.assertRegex(said[0], rf"(rank {victim}( on \S+)? has not been heard of for 2 s|"
                                          r"has got nothing done for 6 s .*in MPI_Init)")

    def test_a_killed_rank_ends_the_job(self):
        output = self.folder / "killed"
        process, pids = self.start_job(output, 4, 2)
        send(pids[3], signal.SIGKILL)
        status, _ = self.ends(process, pids, WATCHDOG + SLACK)
        self.assertNotEqual(status, 0)
        self.finish(output, 3, 3)

    def test_a_suspended_job_goes_on(self):
        """All ranks stopped for longer than the watchdog's time: nobody is late."""
        output = self.folder / "suspended"
        process, pids = self.start_job(output, 3, 1)
        for pid in pids:
            send(pid, signal.SIGSTOP)
        time.sleep(WATCHDOG + 1)
        for pid in pids:
            send(pid, signal.SIGCONT)
        status, said = self.ends(process, pids, 60)
        self.assertEqual((status, said), (EXIT_OK, []))
        self.assert_same_rows((output / "results.jsonl").read_bytes(), self.whole, "suspended")

    def test_a_signal_to_one_rank_stops_all(self):
        """Whichever rank of whichever replica gets it."""
        cases = [("tp", 3, 1, 2, signal.SIGUSR1), ("tp", 4, 2, 3, signal.SIGTERM),
                 ("tp", 4, 2, 0, signal.SIGINT), ("tp", 3, 3, 1, signal.SIGUSR1),
                 ("pp", 2, 2, 1, signal.SIGUSR1), ("sp", 2, 2, 1, signal.SIGUSR1)]
        for axis, ranks, degree, target, sent in cases:
            with self.subTest(axis=axis, ranks=ranks, degree=degree, target=target,
                              signal=sent.name):
                output = self.folder / f"signal-{axis}-{ranks}-{degree}-{target}"
                process, pids = self.start_job(output, ranks, degree, axis)
                send(pids[target], sent)
                status, said = self.ends(process, pids, 20)
                self.assertEqual((status, said), (EXIT_RESUMABLE, []))
                self.assertFalse((output / "results.jsonl").exists())
                self.finish(output, 2, 1)

    def test_stops_while_the_prompts_are_read(self):
        """Only rank 0 reads them all; every rank hears of it at once, and nothing is written."""
        many = self.folder / "many.jsonl"
        with open(many, "w", encoding="utf-8") as file:
            line = json.dumps(completion_request("NAME", "1+1=", max_tokens=2)) + "\n"
            before, after = line.split("NAME")
            file.writelines(f"{before}{number}{after}" for number in range(1_500_000))
        for ranks, target, sent in [(None, 0, signal.SIGTERM), (3, 0, signal.SIGINT),
                                    (3, 2, signal.SIGUSR1), (2, None, None)]:
            with self.subTest(ranks=ranks, target=target, signal=sent and sent.name):
                output = self.folder / f"many-{ranks}-{target}"
                limit = [] if sent else ["--set", "run.time_limit=3"]
                process = start("run", self.job, "--set", f"input.file={many}", "--set",
                                f"output.dir={output}", *limit, ranks=ranks, out=subprocess.PIPE)
                try:
                    said = process.stdout.readline()  # a second after rank 0 began to read
                    pids = sorted(ranks_of(process.pid), key=rank_of) if ranks else [process.pid]
                    began = time.monotonic()
                    if sent:
                        send(pids[target], sent)
                    rest, _ = process.communicate(timeout=30)
                finally:
                    if process.poll() is None:
                        kill_family(process)
                self.assertIn(b"reading the prompts", said)
                self.assertLess(time.monotonic() - began, 20)  # no hang
                self.assertEqual(process.returncode, EXIT_RESUMABLE)
                self.assertIn(b"stopped while reading the prompts; nothing is lost", rest)
                self.assertFalse(output.exists())

    def test_stops_before_the_first_step(self):
        """While files are read, each call of which takes half a second: every rank hears of it at
        once, and nothing is lost."""
        shim = self.build_faults()
        large = self.folder / "large.jsonl"
        line = json.dumps(completion_request("NAME", "1+1=", max_tokens=2)) + "\n"
        large.write_text(line * (64 * 2**20 // len(line)), encoding="utf-8")
        # Reading on would take another 30 s at least.
        cases = [("large", [f"input.file={large}"], 2, 1, "reading the prompts"),
                 ("shard-", [], None, 0, "loading the model"),
                 ("shard-", ["engine.load=broadcast"], 2, 1, "loading the model")]
        for number, (file, settings, ranks, target, doing) in enumerate(cases):
            with self.subTest(file=file, settings=settings):
                output = self.folder / f"slow-{number}"
                words = [f"output.dir={output}", "engine.watchdog_seconds=30", *settings]
                with environment(LD_PRELOAD=str(shim), WEFT_FAULT_CALL="read",
                                 WEFT_FAULT_FILE=file, WEFT_FAULT_ERRNO="slow"):
                    process = start("run", self.job, *[w for item in words for w in ("--set", item)],
                                    ranks=ranks, out=subprocess.PIPE)
                try:
                    wait_until(lambda: process.poll() is not None
                               or any(has_open(pid, file) for pid in ranks_of(process.pid)),
                               "the files to be read")
                    pids = sorted(ranks_of(process.pid), key=rank_of) if ranks else [process.pid]
                    began = time.monotonic()
                    send(pids[target], signal.SIGTERM)
                    said, _ = process.communicate(timeout=60)
                finally:
                    if process.poll() is None:
                        kill_family(process)
                self.assertLess(time.monotonic() - began, 50)  # no hang
                self.assertEqual(process.returncode, EXIT_RESUMABLE, said)
                self.assertIn(f"stopped while {doing}; nothing is lost".encode(), said)
                self.assertFalse((output / "results.jsonl").exists())
                if file == "shard-":
                    self.finish(output)

    def test_uneven_requests_are_levelled(self):
        """The first lines of the file take much longer: who has them gets fewer of the others."""
        requests = [completion_request(f"r{i}", f"{i}+1=", max_tokens=250 if i < 20 else 2)
                    for i in range(200)]
        prompts = write_rows(self.folder / "uneven.jsonl", requests)
        job = self.write_job("uneven", prompts, **{**SLOW, "engine__max_sequences": 2})
        alone = self.run_job(job, self.folder / "uneven-alone")
        output = self.folder / "uneven-shared"
        results = self.run_job(job, output, ranks=2)
        self.assert_same_rows(results, alone, "uneven")
        parts = rows_of_parts(output)
        self.assertEqual(sum(parts.values()), 200)
        self.assertEqual(len(parts), 2)
        # Fixed shares of any kind would be 100 and 100.
        self.assertGreater(abs(parts["part-0000.jsonl"] - parts["part-0001.jsonl"]), 20, parts)

    def test_small_jobs_are_shared_too(self):
        few = write_rows(self.folder / "few.jsonl",
                         [completion_request(f"r{i}", f"{i}+1=") for i in range(5)])
        job = self.write_job("few", few, sampling__temperature=0, engine__threads=1)
        alone = self.run_job(job, self.folder / "few-alone")
        for ranks in (2, 3, 8):
            with self.subTest(ranks=ranks):
                output = self.folder / f"few-{ranks}"
                results = self.run_job(job, output, ranks=ranks)
                self.assert_same_rows(results, alone, f"{ranks} replicas")
                self.assertEqual(sum(rows_of_parts(output).values()), 5)

    def test_weights_by_broadcast(self):
        for ranks, tp in [(3, 1), (4, 2)]:
            with self.subTest(ranks=ranks, tp=tp):
                output = self.folder / f"broadcast-{ranks}-{tp}"
                done = weft("run", self.job, "--set", f"output.dir={output}", "--set",
                            f"parallel.tp={tp}", "--set", "engine.load=broadcast", ranks=ranks)
                self.assertEqual(done.status, EXIT_OK, done)
                self.assertIn("replica 0 reads the weights", done.out)
                self.assert_same_rows((output / "results.jsonl").read_bytes(), self.whole, "sent")
        # On one host everybody reads.
        output = self.folder / "read"
        done = weft("run", self.job, "--set", f"output.dir={output}", ranks=2)
        self.assertNotIn("replica 0 reads", done.out)

    def test_damaged_weights_by_broadcast(self):
        """What the reading rank finds is said once, and ends all ranks with status 2."""
        damaged = self.folder / "damaged"
        damaged.mkdir()
        for file in self.model.iterdir():
            (damaged / file.name).write_bytes(file.read_bytes())
        shard = next(damaged.glob("shard-*.h5"))
        flip_byte(shard, shard.stat().st_size // 2)
        refused = weft("run", self.job, "--set", f"output.dir={self.folder / 'from-damaged'}",
                       "--set", f"model={damaged}", "--set", "engine.load=broadcast", ranks=3)
        self.assert_refused(refused, "damaged")


if __name__ == "__main__":
    main()
