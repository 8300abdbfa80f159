#!/usr/bin/env python3
"""weft plan: what a job would need, which layouts are possible and why others are not."""

import json
import re

from weft_e2e import (DATA, EXIT_OK, EXIT_USER_ERROR, WeftTest, adder_requests, main, weft,
                      write_rows)

EXPERTS = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": 301,
           "hidden_size": 48, "intermediate_size": 112, "num_hidden_layers": 2,
           "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 12, "hidden_act": "silu",
           "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
           "tie_word_embeddings": False, "eos_token_id": 2, "num_experts": 3,
           "num_experts_per_tok": 2, "moe_intermediate_size": 84, "norm_topk_prob": True}

NOT_BUILT = ["output projection divided by output features: every rank would need",
             "attention scores divided by the heads' hidden dimension: partial dot products"]


def human_bytes(count):
    """A number of bytes as weft plan writes it."""
    for unit, size, digits in (("GiB", 2**30, 2), ("MiB", 2**20, 1), ("KiB", 2**10, 1)):
        if count >= size:
            return f"{count / size:.{digits}f} {unit}"
    return f"{count} bytes"


class Plan(WeftTest):

    def weft(self, *arguments, status=EXIT_OK):
        result = weft(*arguments)
        self.assertEqual(result.status, status, result)
        return result

    def job(self, name, model=None, **settings):
        """A small job, of the adder or of a model with experts."""
        job = self.write_job(name, DATA / "adder_prompts.jsonl", engine__kv_memory="1MiB",
                             engine__max_sequence_length=64, **settings)
        if model is not None:
            job.write_text(job.read_text().replace(str(self.model), str(model)))
        return job

    def model_with_experts(self):
        model = self.folder / "experts"
        if not model.exists():
            config = self.folder / "experts.json"
            config.write_text(json.dumps(EXPERTS))
            self.weft("synth", config, model)
        return model

    def rows_of(self, table):
        """{(tp, pp, sp, ep, dp): what stands behind them, further lines included}"""
        rows = {}
        for line in table.splitlines():
            axes = re.match(r"((?: +\d+){5})  +(\S.*)", line)
            if axes:
                last = tuple(int(size) for size in axes.group(1).split())
                self.assertNotIn(last, rows)
                rows[last] = axes.group(2)
            elif re.match(r" {27}and: ", line):
                rows[last] += "\n" + line.strip()
            elif re.match(r" {27}", line):  # a reason goes on
                rows[last] += " " + line.strip()
        return rows

    def test_plan_says_what_a_run_holds(self):
        """The planned bytes are those that the run reports, and the run keeps to them."""
        prompts = write_rows(self.folder / "planned.jsonl", adder_requests(10))
        job = self.write_job("planned", prompts, engine__kv_memory="256KiB",
                             engine__max_sequence_length=64, engine__max_batch_tokens=128,
                             engine__max_sequences=8, engine__threads=1)
        amount = r" +(\S+ (?:bytes|KiB|MiB|GiB))"
        for ranks, axes, lines in [(None, {}, 1), (2, {"tp": 2}, 2), (3, {"tp": 3}, 3),
                                   (4, {"tp": 4}, 4), (2, {"pp": 2}, 2), (2, {"sp": 2}, 1),
                                   (6, {"tp": 2, "pp": 3}, 6)]:
            with self.subTest(axes=axes):
                settings = [f"parallel.{axis}={size}" for axis, size in axes.items()]
                plan = self.weft("plan", job, "--verbose",
                                 *[w for s in settings for w in ("--set", s)]).out
                rows = re.findall(r"^ +\d+ +\d+" + 5 * amount + "  [^ ]", plan, flags=re.MULTILINE)
                self.assertEqual(len(rows), lines, plan)
                output = self.folder / f"planned-{'-'.join(settings)}"
                self.run_job(job, output, *settings, ranks=ranks)
                memory = json.loads((output / "summary.json").read_text())["memory_bytes"]
                self.assertIn(human_bytes(memory["planned"]), [row[-1] for row in rows])
                self.assertEqual(memory["peak"], memory["planned"])

    def test_plan_tables(self):
        job = self.write_job("table", DATA / "adder_prompts.jsonl", engine__kv_memory="64MiB")
        for ranks, legal, illegal in [(6, [1, 2, 3, 6], []), (9, [1, 3], [9]), (1, [1], [])]:
            with self.subTest(ranks=ranks):
                table = self.weft("plan", job, "--ranks", ranks, "--all").out
                # tp, pp, sp, ep, dp; here the lines that have tp and dp alone.
                lines = {int(m.group(1)): m.group(0) for m in re.finditer(
                    r"^ +(\d+) +1 +1 +1 +\d+ +.*$", table, flags=re.MULTILINE)}
                self.assertEqual(sorted(lines), sorted(legal + illegal), table)
                for axes in re.findall(r"^((?: +\d+){5}) ", table, flags=re.MULTILINE):
                    tp, pp, sp, _, dp = (int(size) for size in axes.split())
                    self.assertEqual(tp * pp * sp * dp, ranks)
                for tp in legal:
                    self.assertRegex(lines[tp], rf"^ +{tp} +1 +1 +1 +{ranks // tp} +\d.*B")
                for tp in illegal:
                    self.assertRegex(lines[tp], "not possible.*segments")
        self.assertFalse((self.folder / "table").exists(), "plan wrote an output directory")

    def test_plan_before_the_conversion(self):
        """The same of config.json alone as of the model that is made of it."""
        model = self.model_with_experts()
        source = self.folder / "source"
        source.mkdir()
        (source / "config.json").write_text(json.dumps(EXPERTS | {"torch_dtype": "bfloat16"}))
        found = []
        for folder in (model, source):
            text = self.weft("plan", self.job("before", model=folder), "--ranks", 4).out
            found.append([line for line in text.splitlines() if not re.match(
                "model |memory |  +.nine tenths|          not converted yet", line)])
        self.assertIn("not converted yet", text)
        self.assertEqual(found[0], found[1])

    def test_plan_for_a_kind_of_gpu(self):
        """The kind's memory, where nothing else is said."""
        job = self.job("kind")
        for options, memory in [(["--gpu", "h100"], "74.10 GiB"), (["--gpu", "h200"], "132.05 GiB"),
                                (["--gpu", "h100", "--gpu-memory", 40], "38.00 GiB")]:
            with self.subTest(options=options):
                text = self.weft("plan", job, *options).out
                self.assertIn(f"memory    {memory} for each of 1 ranks on a node", text)
        self.assert_refused(weft("plan", job, "--gpu", "h100", "--set", "engine.device=cpu"),
                            "--gpu, but engine.device is cpu")
        self.assert_refused(weft("plan", job, "--gpu", "h300"), "'h300' is none of")

    def test_plan_of_an_illegal_layout(self):
        job = self.write_job("illegal", DATA / "adder_prompts.jsonl")
        text = self.weft("plan", job, "--set", "parallel.tp=9").out
        self.assertIn("tp=9 pp=1 sp=1 ep=1 dp=1: not legal\n", text)
        self.assertIn("8 segments", text)
        self.assertNotIn("not legal", self.weft("plan", job, "-n", 2, "--set", "parallel.tp=2").out)
        self.assert_refused(weft("plan", job, "--set", "model=/nowhere/m"), "/nowhere/m")

    def test_every_reason_is_given(self):
        result = weft("plan", self.job("reasons", parallel__tp=9, parallel__ep=2, parallel__pp=99))
        self.assertEqual(result.status, EXIT_OK, result)
        reasons = re.findall(r"(?m)^  not possible: (.*)$", result.out)
        for reason, pattern in zip(reasons, [
                r"tp=9: the attention output projection has \d segments, and every rank needs",
                r"tp=9: the ffn down projection has 8 segments",
                r"pp=99: the model has \d+ sub-layers",
                r"ep=2 does not apply to prefill \(ffn\): ep divides experts only, and the model"]):
            self.assertRegex(reason, pattern)
        self.assertEqual(len(reasons), 4, result.out)
        row = self.rows_of(self.weft("plan", self.job("rows"), "--ranks", 9, "--all").out)[9, 1, 1, 1, 1]
        self.assertRegex(row, r"^not possible: tp=9: the attention(?s:.*)\nand: tp=9: the ffn")

    def test_map_of_a_dense_model(self):
        text = self.weft("plan", self.job("map", parallel__tp=2, parallel__sp=2,
                                          parallel__pp=2), "--verbose").out
        entries = re.findall(r"(?m)^  (prefill|decode) +(\S.*?\S) +(tp|pp|sp|ep|dp)=2 +(.*)$", text)
        self.assertEqual({axis for _, _, axis, _ in entries}, {"tp", "pp", "sp"})
        modules = {module for _, module, _, _ in entries}
        self.assertEqual(modules, {"embedding", "q/k/v projections", "attention scores",
                                   "output projection", "ffn", "head"})
        # sp in every module of prefill and in none of decode.
        self.assertEqual(sorted(phase for phase, _, axis, _ in entries if axis == "sp"),
                         ["prefill"] * 6)
        self.assertIn(("prefill", "attention scores", "sp",
                       "query rows of long prompts; keys and values of the shared rows: "
                       "all-gather"), entries)
        self.assertIn("  sp=2 does not apply to decode (attention scores): a decode step has one "
                      "row for each sequence", text)
        for other in NOT_BUILT:
            self.assertIn(other, text)
        self.assertNotIn("experts  ", text)

    def test_map_of_a_model_with_experts(self):
        text = self.weft("plan", self.job("moe-map", self.model_with_experts(), parallel__sp=3,
                                          parallel__ep=3), "--verbose").out
        self.assertRegex(text, r"(?m)^  decode +experts +ep=3 +experts; tokens to experts")
        self.assertRegex(text, r"(?m)^  prefill +experts +sp=3 +rows of long prompts")
        self.assertNotRegex(text, r"(?m)^  (prefill|decode) +ffn ")  # all layers have experts
        self.assertRegex(text, r"(?m)^  ep  experts +up to 3: every part needs an expert")

    def test_table_has_every_layout_of_experts(self):
        text = self.weft("plan", self.job("moe-table", self.model_with_experts()), "--ranks",
                         4, "--all", "--verbose").out
        rows = self.rows_of(text)
        sizes = (1, 2, 4)
        self.assertEqual(set(rows), {(tp, pp, sp, ep, 4 // (tp * pp * sp))
                                     for tp in sizes for pp in sizes for sp in sizes
                                     for ep in sizes if tp * pp * sp <= 4})
        for (tp, pp, sp, ep, _), row in rows.items():
            with self.subTest(tp=tp, pp=pp, sp=sp, ep=ep):
                if ep > 3:
                    self.assertIn("ep=4: a layer has 3 experts, and every part needs", row)
                if sp * tp % ep != 0:
                    self.assertIn(f"ep={ep}: must divide the {sp * tp} ranks of a stage (sp={sp} "
                                  f"times tp={tp}), which share the experts", row)
                legal = ep <= 3 and sp * tp % ep == 0
                self.assertEqual(legal, "not possible" not in row, row)
                if legal:  # five amounts of memory and the cache's tokens
                    self.assertRegex(row, r"^(\S+ (bytes|KiB|MiB|GiB) +){5}\d+$")
        self.assertIn("\n  sp=N does not apply to decode (attention scores): ", text)
        self.assertRegex(text, r"(?m)^  tp  output projection  up to 8: every rank needs a segment")
        for other in NOT_BUILT:
            self.assertIn(other, text)
        six = self.rows_of(self.weft("plan", self.job("moe-six", self.model_with_experts()),
                                     "--ranks", 6, "--all").out)
        self.assertIn("ep=3 with tp=2: one must be a multiple of the other", six[2, 1, 3, 3, 1])

    def test_table_is_sorted_and_short(self):
        """The best ten by what is asked for, in 100 columns; the same in JSON."""
        job = self.job("sorted", self.model_with_experts())
        limits = ("--ranks", 16, "--limits", "40,200,10,2")
        for order, column in [("decode", -2), ("prefill", -1)]:
            with self.subTest(order=order):
                text = self.weft("plan", job, *limits, "--sort", order).out
                rates = [int(row.split()[column]) for row in self.rows_of(text).values()]
                self.assertEqual(len(rates), 10, text)
                self.assertEqual(rates, sorted(rates, reverse=True))
                plan = json.loads(self.weft("plan", job, *limits, "--sort", order, "--json").out)
                best = [row["speed_at_best"][order]["tokens_per_second"]
                        for row in plan["layouts"] if "speed_at_best" in row]
                self.assertEqual([round(rate) for rate in best[:10]], rates)
                self.assertEqual(best, sorted(best, reverse=True))
                refused = [row for row in plan["layouts"] if "not_possible" in row]
                self.assertIn(f"{len(best) - 10} more are possible, {len(refused)} are not", text)
        table = self.weft("plan", job, *limits, "--all").out
        table = table[table.index(" tp   pp"):table.index("speed is an upper bound")]
        self.assertEqual([line for line in table.splitlines() if len(line) > 100], [])
        self.assert_refused(weft("plan", job, "--ranks", 2, "--sort", "luck"),
                            "--sort: 'luck' is none of decode, prefill, memory")

    def test_ranks_that_hold_the_same_are_one_row(self):
        job = self.job("collapsed", parallel__pp=4)
        few = re.findall(r"(?m)^ +(1-2|\d) +(\d) +\S+ [KM]iB", self.weft("plan", job).out)
        each = re.findall(r"(?m)^ +(\d) +(\d) +\S+ [KM]iB", self.weft("plan", job, "-v").out)
        self.assertEqual(len(each), 4)
        self.assertEqual(len(few), 3)
        self.assertIn("1-2", [stage for stage, _ in few])

    def test_simulation_of_a_prompt_file(self):
        job = self.job("simulated")
        limits = ("--simulate", "--limits", "20,100,5,5", "--json")
        simulated = lambda *options: json.loads(self.weft("plan", job, *limits, *options).out)
        plan = simulated("--answers", "3")
        self.assertEqual(plan["requests"], 1000)
        one = plan["layouts"][0]
        self.assertEqual(one["completion_tokens"], 3000)
        self.assertAlmostEqual(one["node_hours"], one["seconds"] / 3600)
        longer = simulated("--answers", "3-8")["layouts"][0]
        self.assertTrue(3000 < longer["completion_tokens"] <= 8000)
        self.assertGreater(longer["seconds"], one["seconds"])
        ranked = simulated("--answers", "3", "--ranks", 4)["layouts"]
        times = [row["seconds"] for row in ranked]
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(times), 10)
        self.assertLess(times[0], one["seconds"])
        curve = simulated("--answers", "3", "--nodes", "1,2", "--gpus-per-node", 2)["layouts"]
        self.assertEqual([row["nodes"] for row in curve], [1, 2])
        self.assertLess(curve[1]["seconds"], curve[0]["seconds"])
        # A run's own answers.
        prompts = write_rows(self.folder / "few.jsonl", adder_requests(10))
        few = self.write_job("few", prompts, engine__max_sequence_length=64)
        self.run_job(few, self.folder / "few-out")
        tokens = json.loads((self.folder / "few-out" / "summary.json").read_text())
        plan = json.loads(self.weft("plan", few, *limits, "--answers", self.folder / "few-out").out)
        self.assertEqual(plan["layouts"][0]["completion_tokens"],
                         tokens["tokens"]["completion"])
        self.assert_refused(weft("plan", job, "--simulate"), "--simulate needs to know how fast")
        self.assert_refused(weft("plan", job, *limits, "--answers", "0"), "--answers: '0' is none")
        self.assert_refused(weft("plan", job, *limits, "--set", "input.file=/nowhere"), "/nowhere")


if __name__ == "__main__":
    main()
