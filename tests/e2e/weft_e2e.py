"""What the end-to-end tests share: the program run as a user runs it, with and without mpirun.

Needs Python 3.8, the repository and a built binary: WEFT_BINARY, or build/bin/weft. WEFT_MPIRUN
replaces the launcher, with its flags, for the MPI that the binary was built with. Every process has
a time limit; one that passes it is killed with all its children, and the test fails.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "data"
ADDER = DATA / "adder"
PROMPTS = DATA / "adder_prompts.jsonl"
ANSWERS = DATA / "adder_answers.jsonl"
WEFT = Path(os.environ.get("WEFT_BINARY", REPOSITORY / "build" / "bin" / "weft")).absolute()

TIME_LIMIT = 180  # seconds, for one process; ordinary ones take about one

EXIT_OK = 0
EXIT_USER_ERROR = 2
EXIT_SOME_FAILED = 3
EXIT_RESUMABLE = 75

# Open MPI refuses root, and more ranks than cores, unless it is told otherwise.
OPEN_MPI_FLAGS = ["-q", "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]
ENVIRONMENT = {
    **os.environ,
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    # More threads than cores must sleep when they wait, or a step takes a hundred times as long.
    "OMP_WAIT_POLICY": "passive",
}


def launcher():
    """The command that starts ranks, without their number."""
    if "WEFT_MPIRUN" in os.environ:
        return shlex.split(os.environ["WEFT_MPIRUN"])
    if shutil.which("mpirun") is None:
        sys.exit("mpirun is missing: on Debian or Ubuntu, apt-get install openmpi-bin")
    version = subprocess.run(["mpirun", "--version"], stdout=subprocess.PIPE, text=True,
                             check=False, timeout=60).stdout
    return ["mpirun"] + (OPEN_MPI_FLAGS if "Open MPI" in version else [])


LAUNCHER = launcher()


def command(*arguments, ranks=None):
    """The argument vector of a weft command, under mpirun when a number of ranks is given."""
    launch = [] if ranks is None else LAUNCHER + ["-n", str(ranks)]
    return launch + [str(WEFT)] + [str(argument) for argument in arguments]


# Processes ---------------------------------------------------------------------------------------


def process_states():
    """{pid: (parent, state)} of all processes."""
    states = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            stat = Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
            state, parent = stat.rpartition(")")[2].split()[:2]
            states[int(entry)] = (int(parent), state)
    return states


def family(root):
    """A process and all its descendants that still run."""
    states = process_states()
    found = [root]
    for pid in found:  # grows while it is walked
        found += [child for child, (parent, _) in states.items() if parent == pid]
    return [pid for pid in found if pid in states and states[pid][1] not in "ZX"]


def ranks_of(root):
    """The weft processes below (or at) `root`."""

    def is_weft(pid):
        with contextlib.suppress(OSError):
            return os.path.samefile(f"/proc/{pid}/exe", WEFT)
        return False

    return [pid for pid in family(root) if is_weft(pid)]


def send(pid, signal_number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)


def kill_family(process):
    """SIGKILL to a process and all that it started, ranks first; returns when all are gone.

    The process is stopped meanwhile: it can neither start another nor tidy up.
    """
    send(process.pid, signal.SIGSTOP)
    members = family(process.pid)
    for pid in reversed(members):
        send(pid, signal.SIGKILL)
    process.wait(timeout=60)
    wait_until(lambda: not any(runs(pid) for pid in members), "killed processes to end")


def runs(pid):
    return process_states().get(pid, (0, "X"))[1] not in "ZX"


def wait_until(condition, what, limit=60, pause=0.002):
    """Polls until `condition()` holds; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit} s for {what}")
        time.sleep(pause)


class Result:
    """How a command ended."""

    def __init__(self, arguments, status, out, err):
        self.command = " ".join(shlex.quote(argument) for argument in arguments)
        self.status = status
        self.out = out
        self.err = err

    @property
    def complaints(self):
        """What weft said on standard error, one entry a message: mpirun's own lines aside."""
        return re.findall(r"^weft:.*(?:\n  .*)*", self.err, flags=re.MULTILINE)

    def __str__(self):
        return f"{self.command}\nexit status {self.status}\n{self.out[-3000:]}{self.err[-3000:]}"


@contextlib.contextmanager
def environment(**variables):
    """The environment of the commands that are run, for a while."""
    before = dict(ENVIRONMENT)
    ENVIRONMENT.update(variables)
    try:
        yield
    finally:
        ENVIRONMENT.clear()
        ENVIRONMENT.update(before)


def start(*arguments, ranks=None, out=subprocess.DEVNULL, err=subprocess.DEVNULL):
    """Starts a weft command and returns at once."""
    return subprocess.Popen(command(*arguments, ranks=ranks), stdin=subprocess.DEVNULL, stdout=out,
                            stderr=err, env=ENVIRONMENT)


def weft(*arguments, ranks=None, stdin="", limit=TIME_LIMIT):
    """Runs a weft command to its end. Standard input is text, or bytes as they are."""
    return run_to_end(command(*arguments, ranks=ranks), stdin, limit)


def weft_apart(*commands):
    """Runs one job whose ranks have command lines of their own, to its end."""
    vector = list(LAUNCHER)
    for arguments in commands:
        vector += [":"] * (len(vector) > len(LAUNCHER)) + ["-n", "1"] + command(*arguments)
    return run_to_end(vector, "", TIME_LIMIT)


def run_to_end(vector, stdin, limit):
    """Runs a command line to its end, or kills it with all its children and fails."""
    with subprocess.Popen(vector, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        try:
            data = stdin if isinstance(stdin, bytes) else stdin.encode()
            out, err = process.communicate(data, timeout=limit)
        except subprocess.TimeoutExpired:
            kill_family(process)
            raise AssertionError(f"no end within {limit} s: {' '.join(vector)}") from None
    return Result(vector, process.returncode, out.decode(errors="replace"),
                  err.decode(errors="replace"))


# Files -------------------------------------------------------------------------------------------


def read_rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_rows(path, rows):
    """JSON lines; a row that is a string is written as it stands."""
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write((row if isinstance(row, str) else json.dumps(row)) + "\n")
    return path


def completion_request(name, prompt, **parameters):
    """One line of an OpenAI batch file."""
    return {"custom_id": name, "method": "POST", "url": "/v1/completions",
            "body": {"prompt": prompt, **parameters}}


def adder_requests(count, **parameters):
    """The first `count` lines of the prompt file, with other parameters."""
    rows = read_rows(PROMPTS)[:count]
    for row in rows:
        row["body"].update(parameters)
    return rows


def choice_of(row):
    return row["response"]["body"]["choices"][0]


def flip_byte(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def has_cpu_flags(*flags):
    """Whether this machine's processor has all of these features, by Linux's names."""
    with contextlib.suppress(OSError):
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"),
                          flags=re.MULTILINE)
        return found is not None and set(flags) <= set(found.group(1).split())
    return False


def instruction_sets():
    """Values of engine.isa that this machine can run."""
    found = ["plain"]
    if has_cpu_flags("avx2", "fma"):
        found.append("avx2")
        if has_cpu_flags("avx512f", "avx512bw", "avx512vl", "avx512dq"):
            found.append("avx512")
            if has_cpu_flags("avx512_bf16"):
                found.append("avx512_bf16")
    return found


# Tests -------------------------------------------------------------------------------------------


class WeftTest(unittest.TestCase):
    """A test with a folder of its own, the converted adder in it, and job files."""

    @classmethod
    def setUpClass(cls):
        if not os.access(WEFT, os.X_OK):
            sys.exit(f"{WEFT} is missing: build it, or set WEFT_BINARY")
        cls.folder = Path(tempfile.mkdtemp(prefix="weft-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        # What Open MPI leaves behind when it is killed goes with the folder.
        ENVIRONMENT["TMPDIR"] = str(cls.folder)
        ENVIRONMENT["OMPI_MCA_btl_vader_backing_directory"] = str(cls.folder)
        cls.model = cls.folder / "adder"
        converted = weft("convert", ADDER, cls.model)
        if converted.status != EXIT_OK:
            raise AssertionError(str(converted))

    def build_faults(self):
        """The library of faults.c; skips the test where it cannot be."""
        return self.build_library(Path(__file__).with_name("faults.c"))

    def build_library(self, source):
        """A library to be loaded before all others; skips the test where it cannot be."""
        compiler = shutil.which("cc")
        if compiler is None:
            self.skipTest("cc is missing: no failures are injected")
        with open(WEFT, "rb") as binary:
            if b"__asan_init" in binary.read():
                self.skipTest("the sanitizer's library must be the first: no failures are injected")
        shim = self.folder / f"{source.stem}.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True,
                       timeout=60)
        return shim

    def write_job(self, name, prompts, output=None, **settings):
        """Writes NAME.yaml and returns its path. Results go to the folder NAME, or `output`.

        `settings` are keys with "__" for the dot: sampling__temperature=0.
        """
        sections = {"input": {"file": prompts}, "output": {"dir": output or self.folder / name}}
        for key, value in settings.items():
            section, _, member = key.partition("__")
            sections.setdefault(section, {})[member] = value
        lines = [f"model: {self.model}"]
        for section, members in sections.items():
            lines.append(f"{section}:")
            for member, value in members.items():
                text = value if isinstance(value, (str, Path)) else json.dumps(value)
                lines.append(f"  {member}: {text}")
        path = self.folder / f"{name}.yaml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run_job(self, job, output, *settings, ranks=None, status=EXIT_OK):
        """Runs a job into `output`, checks the exit status and returns the bytes of its results."""
        overrides = [f"output.dir={output}", *settings]
        result = weft("run", job, *[word for item in overrides for word in ("--set", item)],
                      ranks=ranks)
        self.assertEqual(result.status, status, result)
        return (Path(output) / "results.jsonl").read_bytes()

    def assert_same_rows(self, found, wanted, what):
        """Byte-identity of two results files, with the first difference when there is one."""
        if found == wanted:
            return
        for number, (a, b) in enumerate(zip(found.splitlines(), wanted.splitlines()), 1):
            if a != b:
                self.fail(f"{what}: results differ at row {number}:\n{a!r}\n{b!r}")
        self.fail(f"{what}: {found.count(10)} rows instead of {wanted.count(10)}")

    def assert_refused(self, result, *patterns):
        """Exit status 2 with exactly one message from weft, which matches all patterns."""
        self.assertEqual(result.status, EXIT_USER_ERROR, result)
        self.assertEqual(len(result.complaints), 1, result)
        for pattern in patterns:
            self.assertRegex(result.complaints[0], pattern)


def main():
    """Runs the tests of the calling script."""
    started = time.monotonic()
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    outcome = program.result
    print(f"{Path(sys.argv[0]).name}: {outcome.testsRun} tests, "
          f"{len(outcome.failures) + len(outcome.errors)} failures, "
          f"{time.monotonic() - started:.1f} s")
    sys.exit(0 if outcome.wasSuccessful() else 1)
