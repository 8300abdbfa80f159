#!/usr/bin/env python3
"""The main job: one answer, byte for byte, on every layout and with every engine setting."""

import json
import shutil
import subprocess
import sys

from weft_e2e import (ANSWERS, DATA, PROMPTS, REPOSITORY, WeftTest, adder_requests, choice_of,
                      completion_request, instruction_sets, main, read_rows, weft, write_rows)

FEW = 60  # requests where the layouts are compared

# (ranks, settings); None: without mpirun.
LAYOUTS = [
    (None, {}),
    (1, {"tp": 1}),
    (2, {"tp": 1}),
    (3, {"tp": 1}),
    (4, {"tp": 1}),
    (2, {"tp": 2}),
    (2, {"tp": 2, "dp": 1}),
    (4, {"tp": 2, "dp": 2}),
    (3, {"tp": 3}),
    (4, {"tp": 4}),
    (4, {"sp": 2, "dp": 2}),
    (4, {"pp": 2, "dp": 2}),
    (8, {"tp": 2, "pp": 2, "dp": 2}),
    (6, {"tp": 3, "dp": 2}),
]

# The same with experts.
EXPERT_LAYOUTS = [
    (None, {}),
    (2, {"tp": 2, "ep": 2}),
    (4, {"tp": 2, "sp": 2, "ep": 4}),
    (4, {"sp": 2, "ep": 2, "dp": 2}),
    (4, {"tp": 2, "ep": 2, "dp": 2}),
    (6, {"sp": 3, "dp": 2}),
    (8, {"pp": 2, "sp": 2, "ep": 2, "dp": 2}),
]


def settings_of(layout):
    return [f"parallel.{axis}={size}" for axis, size in layout.items()]


def sampled_requests():
    """Requests that use every sampling parameter, long prompts, prompts of ids, and a chat."""
    prompts = [row["body"]["prompt"] for row in read_rows(PROMPTS)[:8]]
    kinds = {
        "greedy": {"temperature": 0},
        "warm": {"temperature": 0.8, "seed": 11},
        "hot": {"temperature": 3.0, "seed": 12},
        "hot-negative-seed": {"temperature": 3.0, "seed": -5},
        "hot-huge-seed": {"temperature": 3.0, "seed": 2**64 - 1},
        "unseeded": {"temperature": 3.0},
        "top-p": {"temperature": 3.0, "top_p": 0.7, "seed": 13},
        "top-k": {"temperature": 5.0, "top_k": 5, "seed": 14},
        "top-k-one": {"temperature": 5.0, "top_k": 1, "seed": 15},
        "no-top-k": {"temperature": 3.0, "top_k": -1, "seed": 12},
        "min-p": {"temperature": 3.0, "min_p": 0.05, "seed": 16},
        "all-filters": {"temperature": 4.0, "top_p": 0.9, "top_k": 50, "min_p": 0.01, "seed": 17},
        "stop-string": {"temperature": 2.0, "stop": ["1", "+"], "ignore_eos": True, "seed": 18},
        "stop-tokens": {"temperature": 2.0, "stop_token_ids": [17, 18], "ignore_eos": True,
                        "seed": 19},
        "ignore-eos": {"temperature": 2.0, "ignore_eos": True, "seed": 20},
        "min-tokens": {"temperature": 1.0, "min_tokens": 12, "seed": 21},
        "penalties": {"temperature": 2.0, "presence_penalty": 1, "frequency_penalty": 0.5,
                      "repetition_penalty": 1.2, "ignore_eos": True, "seed": 22},
        "bias": {"temperature": 2.0, "logit_bias": {"17": 3, "20": -100}, "seed": 23},
        "allowed": {"temperature": 2.0, "allowed_token_ids": [16, 17, 300], "seed": 24},
        "bad-words": {"temperature": 2.0, "bad_words": ["1", "24"], "seed": 25},
        "logprobs": {"temperature": 2.0, "logprobs": 5, "seed": 26},
        "choices": {"temperature": 3.0, "n": 3, "logprobs": 0},
        "echo": {"temperature": 2.0, "echo": True, "logprobs": 2, "seed": 27},
        "score": {"max_tokens": 0, "echo": True, "logprobs": 1},
    }
    requests = [
        completion_request(f"{kind}-{i}", prompt, **{"max_tokens": 24, **parameters})
        for kind, parameters in kinds.items()
        for i, prompt in enumerate(prompts[:3])
    ]
    # The ids of "12+34=", and a prompt of several attention blocks and cache pages.
    ids = [16, 17, 10, 18, 19, 28]
    requests.append(completion_request("ids", ids, max_tokens=8, temperature=0))
    requests.append(completion_request("text", "12+34=", max_tokens=8, temperature=0))
    for length in (127, 128, 129, 300):
        requests.append(completion_request(f"long-{length}", (ids * 50)[:length], max_tokens=20,
                                           temperature=2.0, ignore_eos=True))
    requests.append(completion_request("several", ["1+1=", "12+34="], n=2, max_tokens=8))
    messages = [{"role": "system", "content": "Add."}, {"role": "user", "content": "12+34="}]
    requests.append({"custom_id": "chat", "method": "POST", "url": "/v1/chat/completions",
                     "body": {"messages": messages, "max_tokens": 20, "temperature": 1.5,
                              "logprobs": True, "top_logprobs": 3, "n": 2}})
    return requests


class MainJob(WeftTest):
    """What `mpirun weft run` promises first of all."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.few = write_rows(cls.folder / "few.jsonl", adder_requests(FEW))
        cls.sampled = write_rows(cls.folder / "sampled.jsonl", sampled_requests())

    def few_job(self, **settings):
        return self.write_job("few", self.few, sampling__temperature=0, output__digest=True,
                              **settings)

    def sampled_job(self, **settings):
        return self.write_job("sampled", self.sampled, output__digest=True, **settings)

    def test_converted_model_is_sound(self):
        verified = weft("verify", self.model)
        self.assertEqual(verified.status, 0, verified)
        self.assertIn("sound: 35 tensors", verified.out)

    def test_all_answers_are_right_and_complete(self):
        """The whole prompt file on two ranks: accuracy, and all that the job leaves behind."""
        job = self.write_job("full", PROMPTS, sampling__temperature=0, output__digest=True)
        output = self.folder / "full"
        results = self.run_job(job, output, "parallel.tp=2", ranks=2)
        check = subprocess.run(
            [sys.executable, REPOSITORY / "scripts" / "check_adder.py", output / "results.jsonl",
             ANSWERS, "--least", "99"], stdout=subprocess.PIPE, text=True, check=False, timeout=60)
        self.assertEqual(check.returncode, 0, check.stdout)

        rows = [json.loads(line) for line in results.splitlines()]
        wanted = [row["custom_id"] for row in read_rows(PROMPTS)]
        self.assertEqual([row["custom_id"] for row in rows], wanted)
        self.assertEqual(len({row["id"] for row in rows}), len(rows))
        for row in rows:
            self.assertEqual(list(row), ["id", "custom_id", "response", "error", "weft"])
            self.assertRegex(row["weft"]["logits_digest"], "^[0-9a-f]{32}$")
            usage = row["response"]["body"]["usage"]
            self.assertEqual(usage["total_tokens"],
                             usage["prompt_tokens"] + usage["completion_tokens"])

        summary = json.loads((output / "summary.json").read_text())
        self.assertEqual(summary["requests"],
                         {"total": 1000, "succeeded": 1000, "failed": 0, "resumed": 0,
                          "non_finite_logits": 0})
        self.assertEqual((summary["layout"]["tp"], summary["layout"]["dp"]), (2, 1))
        usages = [row["response"]["body"]["usage"] for row in rows]
        for kind in ("prompt", "completion"):
            self.assertEqual(summary["tokens"][kind], sum(u[f"{kind}_tokens"] for u in usages))
        self.assertFalse((output / "results.jsonl.tmp").exists())
        self.assertEqual(len(list((output / "journal").glob("part-*.jsonl"))), 1)
        self.assertTrue((output / "journal" / "identity.json").exists())

        # A request's row does not depend on the requests behind it.
        few = self.run_job(self.few_job(), self.folder / "first-of-full")
        self.assert_same_rows(few, b"".join(results.splitlines(True)[:FEW]), "first rows")

    def test_effective_job_gives_the_same_results(self):
        first = self.run_job(self.few_job(), self.folder / "effective-1")
        job = self.folder / "effective-1" / "job.yaml"
        self.assert_same_rows(self.run_job(job, self.folder / "effective-2"), first, "job.yaml")

    def test_digest_is_optional(self):
        job = self.write_job("plain", self.few, sampling__temperature=0)
        plain = [json.loads(line) for line in
                 self.run_job(job, self.folder / "plain").splitlines()]
        digest = [json.loads(line) for line in
                  self.run_job(self.few_job(), self.folder / "digest").splitlines()]
        for row in digest:
            del row["weft"]
        self.assertEqual(plain, digest)

    def test_layouts_do_not_show(self):
        """Greedy and sampled requests on every layout, and from every shard set."""
        sharded = self.folder / "sharded"
        converted = weft("convert", DATA / "adder", sharded, "--tp", 3, "--pp", 2)
        self.assertEqual(converted.status, 0, converted)
        self.assertEqual(len(list(sharded.glob("shard-*.h5"))), 6)
        cases = [(ranks, layout, []) for ranks, layout in LAYOUTS]
        cases += [(ranks, layout, [f"model={sharded}"])
                  for ranks, layout in [(None, {}), (2, {"tp": 2}), (4, {"tp": 4})]]
        for job in (self.few_job(), self.sampled_job()):
            reference = None
            for number, (ranks, layout, settings) in enumerate(cases):
                with self.subTest(job=job.stem, ranks=ranks, layout=layout, settings=settings):
                    results = self.run_job(job, self.folder / f"layout-{job.stem}-{number}",
                                           *settings_of(layout), *settings, ranks=ranks)
                    reference = reference or results
                    self.assert_same_rows(results, reference, f"{layout} on {ranks} ranks")

    def test_layouts_of_experts_do_not_show(self):
        """A synthetic model with experts, under the adder's tokenizer."""
        shape = self.folder / "experts"
        shutil.copytree(DATA / "adder", shape)
        config = json.loads((shape / "config.json").read_text())
        config.update(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe",
                      num_experts=8, num_experts_per_tok=2, moe_intermediate_size=64,
                      norm_topk_prob=True)
        (shape / "config.json").write_text(json.dumps(config))
        model = self.folder / "experts-model"
        made = weft("synth", shape / "config.json", model)
        self.assertEqual(made.status, 0, made)
        job = self.sampled_job()
        reference = None
        for number, (ranks, layout) in enumerate(EXPERT_LAYOUTS):
            with self.subTest(ranks=ranks, layout=layout):
                output = self.folder / f"experts-{number}"
                results = self.run_job(job, output, f"model={model}", *settings_of(layout),
                                       ranks=ranks)
                reference = reference or results
                self.assert_same_rows(results, reference, f"{layout} on {ranks} ranks")
                self.check_experts(output, config["num_hidden_layers"])

    def check_experts(self, output, layers):
        """Every layer's experts were chosen equally often in all, whichever ranks counted."""
        experts = json.loads((output / "summary.json").read_text())["experts"]
        self.assertEqual([layer["layer"] for layer in experts], list(range(layers)))
        chosen = {sum(layer["tokens"]) for layer in experts}
        self.assertEqual(len(chosen), 1, chosen)
        self.assertGreater(min(chosen), 0)
        for layer in experts:
            self.assertEqual(len(layer["tokens"]), 8)
            self.assertGreaterEqual(layer["imbalance"], 1.0)

    def test_engine_settings_do_not_show(self):
        alone = [
            "engine.max_batch_tokens=7",
            "engine.prefill_chunk=5",
            "engine.kv_block=16",
            "engine.kv_block=1024",
            "engine.max_sequences=1",
            "engine.max_sequences=3",
            "engine.threads=1",
            "engine.threads=3",
        ]
        together = ["engine.max_batch_tokens=33", "engine.prefill_chunk=16", "engine.kv_block=48",
                    "engine.max_sequences=5", "engine.threads=2"]
        cases = [(None, {}, [setting]) for setting in alone]
        cases += [(None, {}, together), (2, {"tp": 2}, together), (3, {"tp": 3}, together)]
        job = self.sampled_job()
        reference = self.run_job(job, self.folder / "settings")
        for number, (ranks, layout, settings) in enumerate(cases):
            with self.subTest(ranks=ranks, layout=layout, settings=settings):
                results = self.run_job(job, self.folder / f"settings-{number}",
                                       *settings_of(layout), *settings, ranks=ranks)
                self.assert_same_rows(results, reference, str(settings))

    def test_instruction_sets_do_not_show(self):
        some = write_rows(self.folder / "some.jsonl", sampled_requests()[1:48:6])  # plain is slow
        job = self.write_job("some", some, output__digest=True)
        reference = self.run_job(job, self.folder / "isa")
        cases = [(None, 1, isa) for isa in instruction_sets()]
        cases += [(2, 2, isa) for isa in instruction_sets()]
        for ranks, tp, isa in cases:
            with self.subTest(tp=tp, isa=isa):
                results = self.run_job(job, self.folder / f"isa-{tp}-{isa}", f"parallel.tp={tp}",
                                       f"engine.isa={isa}", ranks=ranks)
                self.assert_same_rows(results, reference, f"{isa}, tp={tp}")

    def test_preemption_does_not_show(self):
        """A cache so small that sequences lose their pages and are computed again."""
        job = self.sampled_job(engine__max_sequence_length=400)
        reference = self.run_job(job, self.folder / "roomy")
        for number, (ranks, tp) in enumerate([(None, 1), (2, 2)]):
            with self.subTest(tp=tp):
                # 768 bytes a token and rank at tp=1, half of that at tp=2: 26 pages of 16.
                output = self.folder / f"tight-{number}"
                results = self.run_job(job, output, f"parallel.tp={tp}", "engine.kv_block=16",
                                       f"engine.kv_memory={312 // tp}KiB", ranks=ranks)
                self.assert_same_rows(results, reference, f"tp={tp}, little memory")
                summary = json.loads((output / "summary.json").read_text())
                self.assertGreater(summary["preemptions"], 0)

    def test_cache_memory_does_not_show(self):
        """A cache that is smaller than the model's longest sequence changes no result."""
        job = self.sampled_job()
        reference = self.run_job(job, self.folder / "memory-all")
        for number, (ranks, tp) in enumerate([(None, 1), (2, 2)]):
            with self.subTest(tp=tp):
                output = self.folder / f"memory-{number}"
                result = weft("run", job, "--set", f"output.dir={output}", "--set",
                              f"parallel.tp={tp}", "--set", "engine.kv_memory=64KiB", ranks=ranks)
                if result.status == 2:  # as good: the user is told
                    self.assert_refused(result, "engine.kv_memory")
                    continue
                self.assertIn(result.status, (0, 3), result)
                self.assert_same_rows((output / "results.jsonl").read_bytes(), reference,
                                      f"tp={tp}, engine.kv_memory=64KiB")

    def test_sampling_parameters_mean_something(self):
        rows = {row["custom_id"]: row for row in map(
            json.loads, self.run_job(self.sampled_job(), self.folder / "meaning").splitlines())}

        def tokens(name):
            return rows[name]["weft"]["tokens"]

        def used(name):
            return rows[name]["response"]["body"]["usage"]["completion_tokens"]

        for i in range(3):
            self.assertEqual(tokens(f"top-k-one-{i}"), tokens(f"greedy-{i}"))
            self.assertEqual(tokens(f"no-top-k-{i}"), tokens(f"hot-{i}"))
            self.assertNotEqual(tokens(f"hot-{i}"), tokens(f"hot-huge-seed-{i}"))
            self.assertNotEqual(tokens(f"hot-{i}"), tokens(f"unseeded-{i}"))
            self.assertEqual(choice_of(rows[f"ignore-eos-{i}"])["finish_reason"], "length")
            self.assertEqual(used(f"ignore-eos-{i}"), 24)
            self.assertGreaterEqual(used(f"min-tokens-{i}"), 12)
            stopped = choice_of(rows[f"stop-string-{i}"])
            if stopped["finish_reason"] == "stop":
                self.assertNotRegex(stopped["text"], r"[1+]")
            self.assertFalse({17, 18} & set(tokens(f"stop-tokens-{i}")[:-1]))
        stops = [choice_of(rows[f"{kind}-{i}"])["finish_reason"]
                 for kind in ("stop-string", "stop-tokens") for i in range(3)]
        self.assertIn("stop", stops)
        self.assertEqual(choice_of(rows["text"])["text"], "46")
        for key in ("tokens", "logits_digest"):
            self.assertEqual(rows["ids"]["weft"][key], rows["text"]["weft"][key])

    def test_seeds(self):
        """The job's seed reaches requests without their own, by custom_id and not by place."""

        def tokens(job, name, *settings):
            rows = map(json.loads, self.run_job(job, self.folder / name, *settings).splitlines())
            receipts = {row["custom_id"]: row["weft"] for row in rows}
            return {name: [choice["tokens"] for choice in receipt.get("choices", [receipt])]
                    for name, receipt in receipts.items()}

        job = self.sampled_job()
        first = tokens(job, "seed-0")
        other = tokens(job, "seed-1", "sampling.seed=1")
        changed = {name for name in first if first[name] != other[name]}
        unseeded = {row["custom_id"] for row in sampled_requests()
                    if "seed" not in row["body"] and row["body"].get("temperature", 1) > 0}
        self.assertTrue(changed <= unseeded, changed - unseeded)
        self.assertGreaterEqual(len(changed), 3)
        backwards = write_rows(self.folder / "backwards.jsonl", sampled_requests()[::-1])
        turned = self.write_job("backwards", backwards, output__digest=True)
        self.assertEqual(tokens(turned, "seed-backwards"), first)

    def test_other_input_formats(self):
        """Lines of text and JSON objects: the same completions under other names."""
        prompts = [row["body"]["prompt"] for row in read_rows(self.few)[:10]]
        reference = [choice_of(json.loads(line))["text"] for line in self.run_job(
            self.few_job(), self.folder / "formats").splitlines()[:10]]

        text = self.folder / "prompts.txt"
        text.write_text("\ufeff" + "\r\n \n".join(prompts) + "\n", encoding="utf-8")
        job = self.write_job("text", text, input__format="text", sampling__temperature=0)
        rows = [json.loads(line) for line in
                self.run_job(job, self.folder / "text", ranks=2).splitlines()]
        self.assertEqual([row["custom_id"] for row in rows], [f"line-{2*i+1}" for i in range(10)])
        self.assertEqual([choice_of(row)["text"] for row in rows], reference)

        objects = [{"question": prompt, "id": i} for i, prompt in enumerate(prompts)]
        job = self.write_job("jsonl", write_rows(self.folder / "objects.jsonl", objects),
                             input__format="jsonl", input__field="question",
                             sampling__temperature=0)
        rows = [json.loads(line) for line in
                self.run_job(job, self.folder / "jsonl").splitlines()]
        self.assertEqual([row["custom_id"] for row in rows], [str(i) for i in range(10)])
        self.assertEqual([choice_of(row)["text"] for row in rows], reference)

    def test_no_requests_is_a_finished_job(self):
        empty = self.folder / "empty.jsonl"
        empty.write_text("\n\n", encoding="utf-8")
        job = self.write_job("empty", empty)
        for number, ranks in enumerate([None, 3]):
            with self.subTest(ranks=ranks):
                self.assertEqual(self.run_job(job, self.folder / f"empty-{number}", ranks=ranks),
                                 b"")

    def test_more_ranks_than_requests(self):
        one = write_rows(self.folder / "one.jsonl", adder_requests(1))
        job = self.write_job("one", one, sampling__temperature=0)
        wanted = self.run_job(job, self.folder / "one-1")
        self.assert_same_rows(self.run_job(job, self.folder / "one-4", ranks=4), wanted, "dp=4")

    def test_model_directory_may_move(self):
        moved = self.folder / "moved"
        shutil.copytree(self.model, moved)
        job = self.few_job()
        reference = self.run_job(job, self.folder / "unmoved")
        self.assert_same_rows(self.run_job(job, self.folder / "moved-1", f"model={moved}"),
                              reference, "moved model")


if __name__ == "__main__":
    main()
