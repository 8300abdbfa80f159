#!/usr/bin/env python3
"""slurm/weft.sbatch with stand-ins for Slurm's commands: what it asks of them, and when it queues the
job again. And the program under the environment that srun gives its tasks."""

import os
import signal
import subprocess

from weft_e2e import (EXIT_OK, EXIT_RESUMABLE, REPOSITORY, WEFT, WeftTest, command,
                      completion_request, environment, main, run_to_end, send, wait_until, weft, weft_apart,
                      write_rows)

SCRIPT = REPOSITORY / "slurm" / "weft.sbatch"

# The stand-ins write what they were called with to $CALLS; `srun` then does what $SRUN says.
STAND_INS = {
    "srun": 'echo "srun $*" >>"$CALLS"; eval "$SRUN"',
    "scancel": 'echo "scancel $*" >>"$CALLS"; [ -z "${STOPPED-}" ] || : >"$STOPPED"',
    "scontrol": 'echo "scontrol $*" >>"$CALLS"',
    # `weft status` tells the rows.
    "weft": 'echo "weft $*" >>"$CALLS"; echo "$(cat "$ROWS" 2>/dev/null || echo 0) requests are done"',
}

# A library that sends the signal as it is initialised.
EARLY_SIGNAL = """#include <signal.h>
__attribute__((constructor)) static void early(void) { raise(SIGUSR1); }
"""

# One that gives each rank a host of its own, n0, n1, …
HOSTS = """#include <stdio.h>
#include <stdlib.h>
int gethostname(char *name, size_t length) {
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  snprintf(name, length, "n%s", rank ? rank : "");
  return 0;
}
"""


class Script(WeftTest):
    """The batch script alone."""

    def setUp(self):
        self.place = self.folder / self.id().rpartition(".")[2]
        (self.place / "bin").mkdir(parents=True)
        for name, body in STAND_INS.items():
            path = self.place / "bin" / name
            path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            path.chmod(0o755)

    def start(self, srun, **variables):
        calls = self.place / "calls"
        calls.write_text("", encoding="utf-8")
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("SLURM", "WEFT"))}
        env = {**kept, "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}", "CALLS": str(calls),
               "SRUN": srun, "ROWS": str(self.place / "rows"), "SLURM_JOB_ID": "42",
               "WEFT": str(self.place / "bin" / "weft"), **variables}
        return subprocess.Popen(["bash", SCRIPT, "job.yaml", "--set", "a b=c"], env=env,
                                cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def run_script(self, srun, **variables):
        """Exit status, output and the calls of the stand-ins."""
        with self.start(srun, **variables) as process:
            said, _ = process.communicate(timeout=60)
        return process.returncode, said, self.calls()

    def calls(self):
        return (self.place / "calls").read_text(encoding="utf-8").splitlines()

    def requeued(self, calls):
        return [call for call in calls if call.startswith("scontrol")]

    def set_rows(self, count):
        (self.place / "rows").write_text(str(count), encoding="utf-8")

    def test_what_srun_is_given(self):
        status, _, calls = self.run_script("exit 0", SLURM_CPUS_PER_TASK="8", WEFT_MPI="pmix_v4")
        self.assertEqual(status, 0)
        self.assertIn("--mpi=pmix_v4 ", calls[0])
        self.assertIn(" --cpus-per-task=8 ", calls[0])
        self.assertIn("--kill-on-bad-exit=1", calls[0])
        self.assertTrue(calls[0].endswith("weft run job.yaml --set a b=c"), calls[0])
        self.assertEqual(self.requeued(calls), [])
        _, _, calls = self.run_script("exit 0")
        self.assertNotIn("--cpus-per-task", calls[0])
        self.assertIn("--mpi=pmix ", calls[0])

    def test_only_what_can_go_on_is_requeued(self):
        for ended, again in [(0, False), (1, False), (2, False), (3, False), (75, True),
                             (137, True)]:
            with self.subTest(ended=ended):
                self.set_rows(ended + 1)
                status, _, calls = self.run_script(f"exit {ended}")
                self.assertEqual(status, ended)
                self.assertEqual(self.requeued(calls), ["scontrol requeue 42"] if again else [])

    def test_a_task_of_an_array_is_named(self):
        """In the last one SLURM_JOB_ID is the array's."""
        self.set_rows(5)
        _, said, calls = self.run_script("exit 75", SLURM_ARRAY_JOB_ID="42", SLURM_ARRAY_TASK_ID="3")
        self.assertEqual(self.requeued(calls), ["scontrol requeue 42_3"])
        self.assertIn("42_3", said)

    def test_no_progress_is_requeued_once(self):
        self.set_rows(0)
        for rows, again in [(0, True), (0, False), (0, True), (7, True), (7, True), (9, True),
                            (9, True), (9, False)]:
            self.set_rows(rows)
            _, said, calls = self.run_script("exit 75")
            self.assertEqual(bool(self.requeued(calls)), again, said)
            self.assertEqual("not requeued" in said, not again)
        self.assertIn("no new row", said)

    def test_a_signal_is_passed_on_until_it_is_heard(self):
        """The ranks hear the third one only."""
        self.set_rows(1)
        heard = '[ "$(grep -c scancel "$CALLS")" -ge 3 ] && exit 75; sleep 0.1'
        process = self.start(f"while :; do {heard}; done", SLURM_ARRAY_JOB_ID="42",
                             SLURM_ARRAY_TASK_ID="3")
        wait_until(self.calls, "srun to run")
        send(process.pid, signal.SIGUSR1)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75)
        self.assertIn("scancel --signal=USR1 42_3", self.calls())
        self.assertEqual(self.requeued(self.calls()), ["scontrol requeue 42_3"])

    def test_the_earliest_signal_counts(self):
        """Before srun has been started."""
        self.set_rows(1)
        stopped = self.place / "stopped"
        early = self.place / "early.sh"
        script = SCRIPT.read_text(encoding="utf-8")
        at = script.index("weft=${WEFT")
        early.write_text(script[:at] + "kill -USR1 $$\n" + script[at:], encoding="utf-8")
        try:
            globals()["SCRIPT"] = early
            status, _, calls = self.run_script(
                'while [ ! -e "$STOPPED" ]; do sleep 0.1; done; exit 75', STOPPED=str(stopped))
        finally:
            globals()["SCRIPT"] = REPOSITORY / "slurm" / "weft.sbatch"
        self.assertEqual(status, 75)
        self.assertIn("scancel --signal=USR1 42", calls)


class Launched(WeftTest):
    """The program as srun and signals find it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prompts = write_rows(cls.folder / "p.jsonl",
                                 [completion_request(f"r{i}", f"{i}+1=") for i in range(3)])
        cls.job = cls().write_job("job", cls.prompts, sampling__temperature=0, engine__threads=1)

    def test_processes_that_do_not_know_of_each_other(self):
        """One speaks for all, and nothing is written."""
        for size in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"):
            with self.subTest(size):
                output = self.folder / f"lone-{size}"
                with environment(**{size: "4"}):
                    lone = weft("run", self.job, "--set", f"output.dir={output}")
                self.assert_refused(lone, "4 processes were started", size, "srun --mpi=pmix")
                self.assertFalse(output.exists())

    def test_srun_without_pmix(self):
        """One sentence comes before all that MPI may say, and only from the first task."""
        step = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}
        for rank in ("0", "1"):
            with environment(**step, SLURM_PROCID=rank):
                said = weft("run", self.job, "--set", f"output.dir={self.folder / 'none'}")
            self.assertNotEqual(said.status, EXIT_OK, said)
            first = said.err.splitlines()[0] if said.err else ""
            self.assertEqual(first.startswith("weft: srun has started 2 tasks without PMIx"),
                             rank == "0", said)

    def test_the_earliest_signal_of_a_program(self):
        """It waits from the program's first instruction on: here it comes while the libraries are
        initialised, before `main`."""
        source = self.folder / "early.c"
        source.write_text(EARLY_SIGNAL, encoding="utf-8")
        shim = self.build_library(source)
        with environment(LD_PRELOAD=str(shim)):
            stopped = weft("run", self.job, "--set", f"output.dir={self.folder / 'early'}")
            status = weft("status", self.job)
        self.assertEqual(stopped.status, EXIT_RESUMABLE, stopped)
        self.assertEqual(status.status, -signal.SIGUSR1, status)  # no job that could be stopped
        self.run_job(self.job, self.folder / "early")

    def test_cores(self):
        """Slurm's word counts, in the report and for threads; too many threads are told."""
        words = ["run", self.job, "--set"]
        with environment(SLURM_JOB_ID="7", SLURM_CPUS_PER_TASK="1", SLURM_CPUS_ON_NODE="99"):
            one = weft(*words, f"output.dir={self.folder / 'one'}", "--set", "engine.threads=auto")
            two = weft(*words, f"output.dir={self.folder / 'two'}", "--set", "engine.threads=2")
        self.assertEqual((one.status, two.status), (EXIT_OK, EXIT_OK), str(one) + str(two))
        limit = r"SLURM_CPUS_PER_TASK" if os.cpu_count() > 1 else r"affinity mask"
        self.assertRegex(one.out, rf"x 1 thread\n(.*\n)*  cores      1 a rank \({limit}\)")
        self.assertRegex(two.out, r"weft: 2\.0 threads on each core of rank 0 on ")
        self.assertNotIn("threads on each core", one.out)
        if os.cpu_count() > 1:
            self.assertIn("weft: each rank has 1 core (SLURM_CPUS_PER_TASK), though", one.out)
        crowd = weft(*words, f"output.dir={self.folder / 'crowd'}", ranks=os.cpu_count() + 1)
        self.assertRegex(crowd.out, r"weft: \d+\.\d threads on each core of rank \d+ on ")

    def test_a_batch_script_without_srun(self):
        with environment(SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_PROCID="0"):
            alone = weft("run", self.job, "--set", f"output.dir={self.folder / 'alone'}")
        self.assertEqual(alone.status, EXIT_OK, alone)
        self.assertIn("the Slurm job has 4 tasks", alone.out)

    def test_status(self):
        output = self.folder / "counted"
        none = weft("status", self.job, "--set", f"output.dir={output}")
        self.assertEqual((none.status, none.out.split()[0]), (EXIT_OK, "0"), none)
        self.run_job(self.job, output)
        done = weft("status", self.job, "--set", f"output.dir={output}")
        self.assertEqual((done.status, done.out.split()[0]), (EXIT_OK, "3"), done)

    def test_another_build_is_refused(self):
        """Of the same version: one byte of the build id differs."""
        other = self.folder / "other-build"
        program = bytearray(WEFT.read_bytes())
        digits = weft("--version").out.split("build ")[1].split()[0]
        at = program.find(bytes.fromhex(digits))
        self.assertGreater(at, 0)
        program[at] ^= 1
        other.write_bytes(program)
        other.chmod(0o755)
        words = ["run", self.job, "--set", f"output.dir={self.folder / 'two-builds'}"]
        vector = command(*words, ranks=1)
        refused = run_to_end([*vector, ":", "-n", "1", str(other), *map(str, words)], "", 60)
        self.assert_refused(refused, r"rank 1 on \S+ has another program .*build")

    def test_a_file_that_one_host_lacks(self):
        """Its name is told, where the others have the file."""
        source = self.folder / "hosts.c"
        source.write_text(HOSTS, encoding="utf-8")
        with environment(LD_PRELOAD=str(self.build_library(source))):
            words = ["run", self.job, "--set", f"output.dir={self.folder / 'hosts'}"]
            lacking = ["--set", "model=/nowhere"]
            refused = weft_apart(words, words + lacking)
            self.assert_refused(refused, r"^weft: on n1: /nowhere\b")
            everywhere = weft_apart(words + lacking, words + lacking)
            self.assert_refused(everywhere, r"^weft: /nowhere\b")
            no_file = weft_apart(words, words + ["--set", "input.file=/nowhere.jsonl"])
            self.assert_refused(no_file, r"^weft: on n1: /nowhere.jsonl")

    def test_a_path_names_the_task(self):
        settings = ["--set", "output.dir=" + str(self.folder / "task-${SLURM_ARRAY_TASK_ID}")]
        with environment(SLURM_ARRAY_TASK_ID="3"):
            self.assertEqual(weft("run", self.job, *settings).status, EXIT_OK)
        self.assertTrue((self.folder / "task-3" / "results.jsonl").exists())
        self.assert_refused(weft("run", self.job, *settings),
                            "variable SLURM_ARRAY_TASK_ID is not set")


if __name__ == "__main__":
    main()
