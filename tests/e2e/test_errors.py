#!/usr/bin/env python3
"""Mistakes of the user's: one clear message before anything runs; bad requests: a row each."""

import json
import os
import random
import shutil

from weft_e2e import (ADDER, EXIT_SOME_FAILED, WEFT, WeftTest, adder_requests,
                      choice_of, completion_request, flip_byte, main, weft, weft_apart, write_rows)

RANKS = 3
ALONE = (None,)  # without mpirun only, where the way to the mistake is the same


class Mistakes(WeftTest):
    """Every one ends with exit status 2 and one message, however many ranks make it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prompts = write_rows(cls.folder / "prompts.jsonl", adder_requests(5))
        cls.output = cls.folder / "out"

    def refuse(self, name, arguments, *patterns, ranks=(None, RANKS)):
        """The command is refused, with and without mpirun, and writes no results."""
        for count in ranks:
            shutil.rmtree(self.output, ignore_errors=True)
            with self.subTest(mistake=name, ranks=count):
                result = weft(*arguments, ranks=count)
                self.assert_refused(result, *patterns)
                self.assertEqual(result.out, "")
                self.assertFalse((self.output / "results.jsonl").exists())

    def job(self, name="job", **settings):
        return self.write_job(name, settings.pop("prompts", self.prompts), self.output, **settings)

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def copy_of_model(self, name):
        copy = self.folder / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.model, copy)
        return copy

    def test_command_line(self):
        job = self.job()
        self.refuse("no command", [], "command", "--help", ranks=ALONE)
        self.refuse("unknown command", ["frobnicate"], "frobnicate")
        self.refuse("no job file named", ["run"], "JOB_YAML")
        self.refuse("unknown flag", ["run", job, "--frobnicate"], "--frobnicate", ranks=ALONE)
        self.refuse("a second job", ["run", job, job], r"job\.yaml", ranks=ALONE)
        self.refuse("--set without value", ["run", job, "--set", "engine.threads"],
                    "engine.threads", ranks=ALONE)
        self.refuse("--set of an unknown key", ["run", job, "--set", "engine.thread=1"],
                    "engine.thread'?:? unknown key|unknown key", "'engine.threads'")
        self.refuse("--set of a wrong type", ["run", job, "--set", "engine.threads=many"],
                    "engine.threads", "many", ranks=ALONE)
        self.refuse("number out of range", ["generate", self.model, "--prompt", "1", "--top-p",
                                            "7"], "--top-p", "7", ranks=ALONE)
        self.refuse("octal number", ["generate", self.model, "--prompt", "1", "--tp", "010"],
                    "--tp", "010", ranks=ALONE)
        self.refuse("no prompt", ["generate", self.model], "--prompt")
        self.refuse("two prompts", ["generate", self.model, "--prompt", "1", "--ids", "1"],
                    "--prompt|--ids", ranks=ALONE)
        self.refuse("bad ids", ["generate", self.model, "--ids", "1,x"], "--ids", ranks=ALONE)
        self.refuse("id outside the vocabulary", ["generate", self.model, "--ids", "380"], "380",
                    ranks=ALONE)
        self.refuse("empty prompt", ["generate", self.model, "--prompt", ""], "no tokens|empty",
                    ranks=ALONE)

    def test_job_file(self):
        rest = f"input:\n  file: {self.prompts}\noutput:\n  dir: {self.output}\n"
        model = f"model: {self.model}\n"
        cases = [
            ("unknown key", model + rest + "engine:\n  max_batch_token: 8\n",
             [r":7: ", "max_batch_token", r"did you mean '?engine\.max_batch_tokens"]),
            ("unknown section", model + rest + "engin:\n  threads: 8\n", [r":6: ", "engin",
             "engine"]),
            ("duplicate key", model + model + rest, [r":2: ", "model"]),
            ("duplicate section", model + rest + "output:\n  digest: true\n", [r":6: ", "output"]),
            ("word for a number", model + rest + "engine:\n  kv_block: big\n",
             [r":7: ", "engine.kv_block", "big"]),
            ("octal number", model + rest + "engine:\n  kv_block: 020\n", [r":7: ", "020"]),
            ("number in quotes", model + rest + "engine:\n  kv_block: '32'\n", [r":7: ", "32"]),
            ("out of range", model + rest + "engine:\n  kv_block: 33\n", [r":7: ", "16", "33"]),
            ("other boolean", model + rest + "sampling:\n  ignore_eos: yes\n",
             [r":7: ", "sampling.ignore_eos", "yes"]),
            ("unknown choice", model + rest + "engine:\n  device: gpu\n",
             [r":7: ", "engine.device", "gpu", "cuda"]),
            ("no value", model + rest + "engine:\n  device:\n", [r":7: ", "engine.device"]),
            ("scalar for a section", model + rest + "engine: 5\n", [r":6: ", "engine"]),
            ("not YAML", model + "input: [\n", [r"job-file\.yaml:\d"]),
            ("a tab", model + "input:\n\tfile: x\n", [r":3: ", "tab"]),
            ("an alias", "model: &m x\noutput:\n  dir: *m\n", [r"job-file\.yaml:\d"]),
            ("empty file", "", ["empty"]),
            ("no model", rest, ["'?model'?"]),
            ("no output", model + f"input:\n  file: {self.prompts}\n", ["output.dir"]),
            ("not text", b"model: \xff\xfe\n", [r":1: ", "UTF-8"]),
        ]
        for number, (name, text, patterns) in enumerate(cases):
            self.refuse(name, ["run", self.write("job-file.yaml", text)], *patterns,
                        ranks=(None, RANKS) if number < 3 else ALONE)
        self.refuse("missing job file", ["run", self.folder / "missing.yaml"], r"missing\.yaml",
                    "No such file")
        self.refuse("a folder", ["run", self.folder], str(self.folder))

    def test_files_that_are_not_there(self):
        self.refuse("missing model", ["run", self.job(), "--set", "model=/nowhere/m"],
                    "/nowhere/m")
        self.refuse("checkpoint instead of a model", ["run", self.job(), "--set",
                                                      f"model={ADDER}"], "weft.json")
        self.refuse("missing prompts", ["run", self.job(prompts=self.folder / "none.jsonl")],
                    r"none\.jsonl", "No such file")
        self.refuse("compressed prompts", ["run", self.job(prompts=self.write(
            "prompts.gz", b"\x1f\x8b\x08\x00"))], r"prompts\.gz", "gzip", ranks=ALONE)
        in_the_way = self.write("in-the-way", "")
        self.refuse("file for the output directory",
                    ["run", self.job(), "--set", f"output.dir={in_the_way}"], "in-the-way",
                    ranks=ALONE)
        self.refuse("file above the output directory",
                    ["run", self.job(), "--set", f"output.dir={in_the_way}/out"], "in-the-way",
                    ranks=ALONE)
        foreign = self.folder / "foreign"
        foreign.mkdir()
        (foreign / "results.jsonl").write_text("mine\n")
        self.refuse("foreign results", ["run", self.job(), "--set", f"output.dir={foreign}"],
                    "foreign")
        self.assertEqual((foreign / "results.jsonl").read_text(), "mine\n")

    def test_messages_hold_no_raw_bytes(self):
        """What a file or a command line holds reaches the terminal escaped."""
        twice = [completion_request("a\x1b[31m\u009b\nweft: done\u202e", "1+1=")] * 2
        self.refuse("escape sequence in a custom_id", ["run", self.job(
            prompts=write_rows(self.folder / "escape.jsonl", twice))],
                    r"custom_id 'a\\x1b\[31m\\u009b\\nweft: done\\u202e' was already given")
        text = "\n".join(json.dumps(row) for row in adder_requests(2))
        for name, data in [("UTF-16", text.encode("utf-16")), ("UTF-32", text.encode("utf-32")),
                           ("UTF-16", text.encode("utf-16-be")), ("xz", b"\xfd7zXZ\x00\x00\x04")]:
            prompts = self.write("foreign.jsonl", data)
            self.refuse(f"prompts in {name}", ["run", self.job(prompts=prompts)],
                        r"foreign\.jsonl", name, ranks=ALONE)
        config = self.folder / "wide-config"
        config.mkdir()
        (config / "config.json").write_bytes((ADDER / "config.json").read_text().encode("utf-16"))
        self.refuse("config in UTF-16", ["synth", config / "config.json", self.folder / "none"],
                    r"config\.json", "UTF-16", ranks=ALONE)
        (config / "config.json").write_bytes(b'{"a": \xff}')
        self.refuse("bytes in a config", ["synth", config / "config.json", self.folder / "none"],
                    r"\\xff", ranks=ALONE)
        self.refuse("bytes in an option", ["run", self.job(), "--set", "engine.\x1b]0;x\x07=1"],
                    "unknown key", ranks=ALONE)
        self.refuse("control characters in a path", ["run", "none\x1b[2J.yaml"],
                    r"none\\x1b\[2J\.yaml", ranks=ALONE)
        self.refuse("control characters in a command", ["no\x1b[2J"], r"no\\x1b\[2J", ranks=ALONE)
        link = self.folder / "dangling.jsonl"
        link.symlink_to("nowhere.jsonl")
        self.refuse("a dangling link", ["run", self.job(prompts=link)], r"dangling\.jsonl",
                    r"a symbolic link to nowhere\.jsonl, which is not there", ranks=ALONE)
        self.refuse("an open list", ["run", self.job(), "--set", "sampling.stop=[a,"],
                    r"--set sampling\.stop: the list '\[a,' is open", ranks=ALONE)

    def test_a_fifo_as_the_lock(self):
        output = self.folder / "fifo-out"
        (output / "journal").mkdir(parents=True)
        os.mkfifo(output / "journal" / "lock")
        self.refuse("a FIFO", ["run", self.job(), "--set", f"output.dir={output}"], "journal/lock",
                    ranks=ALONE)

    def test_long_lines_do_not_end_the_job(self):
        """A line with very many objects takes no longer than its length, also with a short watch."""
        rows = adder_requests(4)
        rows[1]["body"]["metadata"] = [{}] * 1_000_000
        job = self.write_job("long-line", write_rows(self.folder / "long-line.jsonl", rows),
                             engine__watchdog_seconds=10)
        for ranks in (None, 2):
            with self.subTest(ranks=ranks):
                self.run_job(job, self.folder / f"long-line-{ranks}", ranks=ranks)

    def test_files_of_another_kind(self):
        table = self.write("table.csv", "id,prompt\n" + "1,why\n" * 200)
        self.refuse("a table", ["run", self.job(prompts=table)], r"table\.csv: line 1, column 1",
                    "none of the first 100 lines is a JSON object", r"input\.format: openai")
        self.refuse("a program", ["run", self.job(prompts=WEFT)], "line 1", r"input\.format",
                    ranks=ALONE)

    def test_duplicate_custom_ids(self):
        rows = adder_requests(4)
        twice = write_rows(self.folder / "twice.jsonl", rows[:3] + ["", rows[1]])
        self.refuse("duplicate custom_id", ["run", self.job(prompts=twice)], r"twice\.jsonl:5\b",
                    r"line 2\b", rows[1]["custom_id"])

    def test_layouts(self):
        def run(*settings):
            return ["run", self.job()] + [w for s in settings for w in ("--set", f"parallel.{s}")]

        self.refuse("tp above the segments", run("tp=9"), "tp=9", "8 segments")
        self.refuse("ranks left over", run("tp=3"), r"3 ranks", "job has (1|4)", ranks=(None, 4))
        self.refuse("too many replicas", run("dp=5"), "5 ranks", "job has (1|3)")
        self.refuse("pp on too few ranks", run("pp=2"), "pp=2", "2 ranks", ranks=(None, 3))
        self.refuse("sp on too few ranks", run("sp=2"), "sp=2", "2 ranks", ranks=(None, 3))
        self.refuse("more stages than sub-layers", run("pp=7"), "pp=7", "6 sub-layers")
        self.refuse("ep without experts", run("ep=2"), "ep=2", "the model has none",
                    ranks=(None, 2))
        self.refuse("generate on too few ranks", ["generate", self.model, "--prompt", "1+1=",
                                                  "--tp", "2"], "tp=2", "2 ranks")

    def test_engine(self):
        def run(setting):
            return ["run", self.job(), "--set", setting]

        if "cuda" not in weft("--version").out:
            self.refuse("cuda", run("engine.device=cuda"), "engine.device", "cuda")
        self.refuse("fast on CPUs", run("engine.numerics=fast"), "engine.numerics", "invariant",
                    ranks=ALONE)
        self.refuse("kv_memory without a page", run("engine.kv_memory=1KiB"), "engine.kv_memory")
        self.refuse("kv_memory above all memory", run("engine.kv_memory=1000TiB"),
                    "engine.kv_memory")
        self.refuse("too many layers", run("engine.layers=4"), "engine.layers", "4", "3",
                    ranks=ALONE)
        self.refuse("unknown instruction set", run("engine.isa=sse"), "engine.isa", "sse",
                    ranks=ALONE)

    def test_damaged_models(self):
        """One flipped byte in any file, or a file cut short."""
        random_numbers = random.Random(20)
        shard = "shard-pp00-tp00.h5"
        manifest = json.loads((self.model / "weft.json").read_text())
        extents = [tuple(map(int, part.split("+")))
                   for part in manifest["shards"][0]["metadata"].split()]

        def metadata(_):
            begin, length = random_numbers.choice(extents)
            return random_numbers.randrange(begin, begin + length)

        def weights(size):
            while True:
                at = random_numbers.randrange(size)
                if not any(begin <= at < begin + length for begin, length in extents):
                    return at

        def found(text):
            return lambda _: (self.model / "tokenizer.json").read_bytes().index(text)

        anywhere = random_numbers.randrange
        cases = [
            ("manifest", "weft.json", anywhere),
            ("shard metadata", shard, metadata),
            ("shard metadata, superblock", shard, lambda _: 9),
            ("shard weights", shard, weights),
            ("shard weights, last byte", shard, lambda size: size - 1),
            ("tokenizer", "tokenizer.json", anywhere),
            ("tokenizer, still valid JSON", "tokenizer.json", found(b"ignore_merges")),
            ("tokenizer configuration", "tokenizer_config.json", anywhere),
            ("stop tokens", "generation_config.json", anywhere),
        ]
        for name, file, place in cases:
            with self.subTest(damage=name):
                model = self.copy_of_model("damaged")
                flip_byte(model / file, place((model / file).stat().st_size))
                self.refuse_model(name, model, file)
        for name, file, keep in [("truncated shard", shard, 0.7), ("shard cut by a byte", shard, 1),
                                 ("empty shard", shard, 0), ("truncated tokenizer",
                                                             "tokenizer.json", 0.5),
                                 ("truncated manifest", "weft.json", 0.5)]:
            with self.subTest(damage=name):
                model = self.copy_of_model("damaged")
                size = (model / file).stat().st_size
                with open(model / file, "r+b") as damaged:
                    damaged.truncate(size - 1 if keep == 1 else int(size * keep))
                self.refuse_model(name, model, file)
        for file in ("weft.json", shard, "tokenizer.json"):
            with self.subTest(missing=file):
                model = self.copy_of_model("damaged")
                (model / file).unlink()
                self.refuse_model(f"missing {file}", model, file)

    def refuse_model(self, name, model, file):
        """`verify` and `run` both say which file is wrong."""
        self.assert_refused(weft("verify", model), file.replace(".", r"\."))
        arguments = ["run", self.job(), "--set", f"model={model}"]
        for ranks in (None, RANKS) if "shard" in name else (None,):
            shutil.rmtree(self.output, ignore_errors=True)
            with self.subTest(mistake=name, ranks=ranks):
                self.assert_refused(weft(*arguments, ranks=ranks), file.replace(".", r"\."))
                self.assertFalse((self.output / "results.jsonl").exists())

    def test_ranks_that_were_given_different_things(self):
        """Stale copies on one node: found before anything is computed."""
        job = self.job(parallel__tp=2, sampling__temperature=0)
        other_model = self.folder / "other-seed"
        self.assertEqual(weft("synth", ADDER / "config.json", other_model).status, 0)
        other_prompts = write_rows(self.folder / "other.jsonl", adder_requests(6)[1:])
        for setting, what in (
            (f"model={other_model}", "another model than rank 0"),
            (f"input.file={other_prompts}", "another prompt file than rank 0"),
            ("engine.max_sequences=3", "another job than rank 0"),
        ):
            with self.subTest(setting=setting):
                result = weft_apart(["run", job], ["run", job, "--set", setting])
                self.assert_refused(result, what)
                self.assertFalse((self.output / "results.jsonl").exists())

    def test_refused_job_runs_when_it_is_put_right(self):
        """A refused job leaves nothing behind that is in the way of the right one."""
        model = self.copy_of_model("put-right")
        flip_byte(model / "shard-pp00-tp00.h5", 500_000)
        output = self.folder / "put-right-out"
        job = self.write_job("put-right-out", self.prompts, output, sampling__temperature=0)
        self.assert_refused(weft("run", job, "--set", f"model={model}", ranks=2), "damaged")
        shutil.rmtree(model)
        shutil.copytree(self.model, model)
        self.run_job(job, output, f"model={model}", ranks=2)


class BadRequests(WeftTest):
    """Requests that cannot be run: error rows among the good ones, and exit status 3."""

    # (what is wrong, the line, code, param)
    def bad_lines(self):
        ids = [17] * 300
        good = completion_request("x", "1+1=")

        def request(name, **parameters):
            return completion_request(name, parameters.pop("prompt", "1+1="), **parameters)

        def changed(name, **members):
            return {**good, "custom_id": name, **members}

        def chat(name, **body):
            return changed(name, url="/v1/chat/completions", body=body)

        return [
            ("not JSON", '{"custom_id": "broken", "method"', "invalid_json", None),
            ("no object", "[1, 2]", "invalid_json", None),
            ("not a number", '{"custom_id": "nan", "body": {"top_p": NaN}}', "invalid_json", None),
            ("no custom_id", {k: v for k, v in good.items() if k != "custom_id"},
             "missing_parameter", "custom_id"),
            ("number for custom_id", changed(5), "invalid_type", "custom_id"),
            ("chat with a prompt", changed("chat", url="/v1/chat/completions"),
             "unsupported_parameter", "prompt"),
            ("chat without messages", chat("no-messages"), "missing_parameter", "messages"),
            ("chat with nothing said", chat("silence", messages=[]), "invalid_value", "messages"),
            ("chat with a number", chat("chat-number", messages=[{"role": "user", "content": 5}]),
             "invalid_type", "messages"),
            ("embeddings", changed("embed", url="/v1/embeddings"), "unsupported_url", "url"),
            ("GET", changed("get", method="GET"), "invalid_value", "method"),
            ("unknown member", changed("member", priority=1), "unsupported_parameter",
             "priority"),
            ("no body", {k: v for k, v in changed("no-body").items() if k != "body"},
             "missing_parameter", "body"),
            ("body of another type", changed("body-type", body=[1]), "invalid_type", "body"),
            ("no prompt", changed("no-prompt", body={"max_tokens": 3}), "missing_parameter",
             "prompt"),
            ("empty prompt", request("empty", prompt=""), "invalid_value", "prompt"),
            ("empty ids", request("empty-ids", prompt=[]), "invalid_value", "prompt"),
            ("number as prompt", request("number", prompt=5), "invalid_type", "prompt"),
            ("mixed prompts", request("several", prompt=["a", [1]]), "invalid_type", "prompt"),
            ("one prompt of two over-long", request("pair", prompt=["1", "1+" * 200]), None,
             "prompt"),
            ("id outside the vocabulary", request("outside", prompt=[1, 380]), "invalid_value",
             "prompt"),
            ("negative id", request("negative", prompt=[-1]), "invalid_value", "prompt"),
            ("over-long prompt", request("long", prompt=ids), None, "prompt"),
            ("over-long text", request("long-text", prompt="1+" * 200), None, "prompt"),
            ("word as temperature", request("hot", temperature="hot"), "invalid_type",
             "temperature"),
            ("fraction of a token", request("fraction", max_tokens=1.5), "invalid_type",
             "max_tokens"),
            ("no tokens", request("none", max_tokens=0), "invalid_value", "max_tokens"),
            ("top_p too large", request("top-p", top_p=2), "invalid_value", "top_p"),
            ("negative temperature", request("cold", temperature=-1), "invalid_value",
             "temperature"),
            ("word as ignore_eos", request("eos", ignore_eos="yes"), "invalid_type",
             "ignore_eos"),
            ("number as stop", request("stop", stop=3), "invalid_type", "stop"),
            ("empty stop", request("empty-stop", stop=""), "invalid_value", "stop"),
            ("17 stops", request("stops", stop=[f"s{i}" for i in range(17)]), "invalid_value",
             "stop"),
            ("word as seed", request("seed", seed="7"), "invalid_type", "seed"),
            ("too many choices", request("n", n=200), "invalid_value", "n"),
            ("best of more", request("best", n=2, best_of=4), "unsupported_value", "best_of"),
            ("logprobs", request("logprobs", logprobs=50), "invalid_value", "logprobs"),
            ("penalty", request("penalty", frequency_penalty=2.5), "invalid_value",
             "frequency_penalty"),
            ("suffix", request("suffix", suffix="x"), "unsupported_value", "suffix"),
            ("unknown parameter", request("unknown", guided_json="{}"), "unsupported_parameter",
             "guided_json"),
        ]

    def test_error_rows(self):
        good = adder_requests(40)
        bad = self.bad_lines()
        lines = []
        for i, (_, line, _, _) in enumerate(bad):
            lines += [good[i], line]
        prompts = write_rows(self.folder / "mixed.jsonl", lines)
        job = self.write_job("mixed", prompts, engine__max_sequence_length=256,
                             output__digest=True)
        right = self.run_job(
            self.write_job("right", write_rows(self.folder / "right.jsonl", good[:len(bad)])),
            self.folder / "right")
        texts = [choice_of(json.loads(line))["text"] for line in right.splitlines()]

        results = self.run_job(job, self.folder / "mixed", status=EXIT_SOME_FAILED)
        rows = [json.loads(line) for line in results.splitlines()]
        self.assertEqual(len(rows), len(lines))
        self.assertEqual([row["custom_id"] for row in rows[::2]],
                         [row["custom_id"] for row in good[:len(bad)]])
        self.assertEqual([choice_of(row)["text"] for row in rows[::2]], texts)
        for i, ((what, line, code, param), row) in enumerate(zip(bad, rows[1::2])):
            with self.subTest(bad=what):
                self.assertEqual(list(row), ["id", "custom_id", "response", "error"])
                wanted = line.get("custom_id") if isinstance(line, dict) else None
                # A line without a name has that of its place in the file.
                name = wanted if isinstance(wanted, str) else f"line-{2 * i + 2}"
                self.assertEqual(row["custom_id"], name)
                self.assertEqual(row["response"]["status_code"], 400)
                self.assertIsNone(row["response"]["body"])
                self.assertEqual(row["error"]["type"], "invalid_request_error")
                self.assertEqual(row["error"]["param"], param)
                if code is not None:
                    self.assertEqual(row["error"]["code"], code)
                if param not in (None, "url"):
                    self.assertIn(param, row["error"]["message"])
        summary = json.loads((self.folder / "mixed" / "summary.json").read_text())
        self.assertEqual(summary["requests"], {"total": len(lines), "succeeded": len(bad),
                                               "failed": len(bad), "resumed": 0,
                                               "non_finite_logits": 0})

        for number, (ranks, setting) in enumerate([(3, "parallel.tp=1"), (3, "parallel.tp=3")]):
            with self.subTest(ranks=ranks, layout=setting):
                again = self.run_job(job, self.folder / f"mixed-{number}", setting, ranks=ranks,
                                     status=EXIT_SOME_FAILED)
                self.assert_same_rows(again, results, setting)

        # Run again, it is still a job with failed requests.
        done = weft("run", job, ranks=2)
        self.assertEqual(done.status, EXIT_SOME_FAILED, done)
        self.assertIn("nothing to do", done.out)

    def test_only_bad_requests(self):
        prompts = write_rows(self.folder / "bad.jsonl", ["nonsense", "{}", "null"])
        job = self.write_job("bad", prompts)
        results = self.run_job(job, self.folder / "bad", ranks=2, status=EXIT_SOME_FAILED)
        self.assertEqual(results.count(b"invalid_json"), 2)
        self.assertEqual(results.count(b"missing_parameter"), 1)

    def test_lines_that_are_no_text(self):
        path = self.folder / "binary.jsonl"
        good = json.dumps(adder_requests(1)[0]).encode()
        path.write_bytes(b"\xff\xfe\x00{}\n" + good + b"\n" + b'{"custom_id": "\xff"}\n' +
                         b"[" * 5000 + b"\n")
        job = self.write_job("binary", path, sampling__temperature=0)
        rows = self.run_job(job, self.folder / "binary", ranks=2,
                            status=EXIT_SOME_FAILED).decode().splitlines()
        codes = [(json.loads(row)["error"] or {}).get("code") for row in rows]
        self.assertEqual(codes, ["invalid_json", None, "invalid_json", "invalid_json"])

    def test_longest_prompt(self):
        """The cap counts the prompt and what is generated behind it."""
        requests = [completion_request(f"ids-{n}", [17] * n, max_tokens=8, ignore_eos=True)
                    for n in (60, 63, 64)]
        job = self.write_job("longest", write_rows(self.folder / "longest.jsonl", requests),
                             engine__max_sequence_length=64)
        rows = [json.loads(line) for line in self.run_job(
            job, self.folder / "longest", status=EXIT_SOME_FAILED).splitlines()]
        for row, tokens in zip(rows[:2], (4, 1)):
            usage = row["response"]["body"]["usage"]
            self.assertEqual(usage["completion_tokens"], tokens)
            self.assertEqual(choice_of(row)["finish_reason"], "length")
        self.assertIn("64", rows[2]["error"]["message"])
        self.assertIn("engine.max_sequence_length", rows[2]["error"]["message"])



if __name__ == "__main__":
    main()
