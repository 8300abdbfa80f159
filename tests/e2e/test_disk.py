#!/usr/bin/env python3
"""Writes that fail: the job ends everywhere with one message, and a rerun has the same bytes."""

import contextlib
import errno
import os
import shutil
import subprocess
import unittest

from weft_e2e import (EXIT_USER_ERROR, LAUNCHER, TIME_LIMIT, WeftTest, adder_requests, command,
                      environment, main, run_to_end, weft, write_rows)

EXIT_FAILURE = 1


class Disk(WeftTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prompts = write_rows(cls.folder / "prompts.jsonl", adder_requests(200))
        case = cls()
        cls.job = case.write_job("whole", cls.prompts, output__trace=True, engine__max_sequences=8)
        cls.whole = case.run_job(cls.job, cls.folder / "whole")

    def failing_run(self, output, ranks, messages=1):
        """Runs the job to a failure; gives its messages, at most one of a rank."""
        # One replica: which of several would write how much, nobody knows.
        result = weft("run", self.job, "--set", f"output.dir={output}", "--set",
                      "output.sync_interval=0", "--set", f"parallel.tp={ranks or 1}", ranks=ranks)
        self.assertEqual(result.status, EXIT_FAILURE, result)
        self.assertIn(len(result.complaints), range(1, messages + 1), result)
        return "\n".join(result.complaints)

    def finish(self, output, ranks=2):
        """The same command completes the job; no half-written file is left."""
        again = self.run_job(self.job, output, ranks=ranks)
        self.assert_same_rows(again, self.whole, output.name)
        for name in ("summary.json", "timings.h5", "job.yaml"):
            self.assertTrue((output / name).exists(), name)
        self.assertEqual([path for path in output.rglob("*.tmp*")], [])

    def test_injected_failures(self):
        """Each kind of call on each file, at once and later on."""
        shim = self.build_faults()
        cases = [  # (call, file, how many work before, ranks)
            ("write", "part-0000", 40, None), ("write", "part-0000", 2, 2),
            ("fsync", "part-0000", 3, None), ("fsync", "part-0000", 0, 3),
            ("write", "identity.json", 0, 2), ("rename", "identity.json", 0, None),
            ("write", "timings/requests-0000", 0, None), ("write", "timings/runs", 0, 2),
            ("write", "trace.json", 0, 2), ("rename", "trace.json", 0, None),
            ("write", "results.jsonl.tmp", 0, 2), ("fsync", "results.jsonl.tmp", 0, None),
            ("rename", "results.jsonl.tmp", 0, None), ("write", "results.json.tmp", 0, None),
            ("write", "timings.h5.tmp", 0, 2), ("fsync", "timings.h5.tmp", 0, None),
            ("rename", "timings.h5.tmp", 0, None), ("write", "summary.json", 0, None),
            ("rename", "summary.json", 0, 2), ("write", "job.yaml", 0, None),
        ]
        for number, (call, file, after, ranks) in enumerate(cases):
            with self.subTest(call=call, file=file, after=after, ranks=ranks):
                output = self.folder / f"fault-{number}"
                error = errno.ENOSPC if number % 2 else errno.EIO
                with environment(LD_PRELOAD=str(shim), WEFT_FAULT_CALL=call, WEFT_FAULT_FILE=file,
                                 WEFT_FAULT_AFTER=str(after), WEFT_FAULT_ERRNO=str(error)):
                    message = self.failing_run(output, ranks)
                self.assertIn(file.rsplit("/", 1)[-1].replace(".tmp", ""), message)
                self.assertIn(os.strerror(error), message)
                results = output / "results.jsonl"
                if results.exists():  # then it is whole
                    self.assert_same_rows(results.read_bytes(), self.whole, "after the failure")
                self.finish(output)

    def test_interrupted_calls(self):
        """A call that a signal has interrupted is made again: the job does not notice."""
        shim = self.build_faults()
        output = self.folder / "interrupted"
        for call, file in [("open", str(output)), ("read", "prompts"),
                           ("write", "part-0000"), ("fsync", "journal"), ("fsync", "results.jsonl"),
                           ("rename", "results.jsonl.tmp")]:
            with self.subTest(call=call, file=file):
                shutil.rmtree(output, ignore_errors=True)
                with environment(LD_PRELOAD=str(shim), WEFT_FAULT_CALL=call, WEFT_FAULT_FILE=file,
                                 WEFT_FAULT_AFTER="0", WEFT_FAULT_TIMES="5",
                                 WEFT_FAULT_ERRNO=str(errno.EINTR)):
                    again = self.run_job(self.job, output)
                self.assert_same_rows(again, self.whole, file)

    def test_links_in_the_output_directory(self):
        """Nothing is written through them, and the job is refused before it begins."""
        precious = self.folder / "precious"
        precious.write_text("not weft's")
        for number, name in enumerate(["results.jsonl.tmp", "timings.h5.tmp", "journal/lock",
                                       "journal/part-0000.jsonl"]):
            with self.subTest(name=name):
                output = self.folder / f"links-{number}"
                (output / name).parent.mkdir(parents=True)
                (output / name).symlink_to(precious)
                self.assert_refused(weft("run", self.job, "--set", f"output.dir={output}"),
                                    f"{output}/{name}", "symbolic link")
                self.assertEqual(precious.read_text(), "not weft's")
                self.assertFalse((output / "results.jsonl").exists())

    def test_what_is_in_the_way_is_found_first(self):
        for number, name in enumerate(["results.jsonl", "summary.json", "timings.h5"]):
            with self.subTest(name=name):
                output = self.folder / f"way-{number}"
                (output / name).mkdir(parents=True)
                self.assert_refused(weft("run", self.job, "--set", f"output.dir={output}"),
                                    f"{output}/{name}", "a folder stands where")
                self.assertEqual(list((output / "journal").glob("part-*")), [])

    def test_output_directories_of_one_name(self):
        """A relative path that is another directory on another host: no row is computed."""
        vector = list(LAUNCHER)
        folders = []
        for number in range(2):
            folders.append(self.folder / f"host-{number}")
            folders[-1].mkdir()
            vector += [":"] * (number > 0) + ["-n", "1", "-wdir", str(folders[-1])]
            vector += command("run", self.job, "--set", "output.dir=out", "--set", "parallel.dp=2")
        if "Open MPI" not in subprocess.run([LAUNCHER[0], "--version"], stdout=subprocess.PIPE,
                                            text=True, check=False, timeout=60).stdout:
            self.skipTest("only Open MPI's mpirun gives ranks folders of their own this way")
        result = run_to_end(vector, "", TIME_LIMIT)
        self.assert_refused(result, "rank 1", "another directory", "all hosts share")
        self.assertEqual([path for folder in folders for path in folder.rglob("part-*")], [])

    @contextlib.contextmanager
    def mounted(self, options):
        """A small file system of its own; skips the test where that is not allowed."""
        folder = self.folder / "small"
        folder.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False,
                                               timeout=60).returncode != 0:
            self.skipTest("mounting a tmpfs is not allowed here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True, timeout=60)

    def test_full_disk(self):
        """Too small for the journal, then for the results beside it, then large enough."""
        with self.mounted("size=40k") as folder:
            for size, ranks in [("40k", 2), ("130k", None)]:
                with self.subTest(size=size):
                    self.remount(folder, size)
                    # Both replicas may find the disk full before one of them has ended the job.
                    message = self.failing_run(folder / "out", ranks, ranks or 1)
                    self.assertIn(os.strerror(errno.ENOSPC), message)
                    self.assertFalse((folder / "out" / "results.jsonl").exists())
            self.remount(folder, "16m")
            self.finish(folder / "out", 3)

    def remount(self, folder, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True, timeout=60)

    def test_directory_that_cannot_be_written(self):
        locked = self.folder / "locked"
        locked.mkdir()
        locked.chmod(0o555)
        with contextlib.ExitStack() as stack:
            if os.access(locked, os.W_OK):  # root may write everywhere but here
                locked = stack.enter_context(self.mounted("ro"))
            for ranks in (None, 3):
                with self.subTest(ranks=ranks):
                    result = weft("run", self.job, "--set", f"output.dir={locked}/out",
                                  ranks=ranks)
                    self.assertEqual(result.status, EXIT_USER_ERROR, result)
                    self.assert_refused(result, f"{locked}/out", "cannot be created")


if __name__ == "__main__":
    main()
