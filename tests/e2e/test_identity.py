#!/usr/bin/env python3
"""What decides results is known and sound: files of a model, weights and logits, before a run."""

import json
import shutil
import struct

from weft_e2e import (ADDER, EXIT_OK, EXIT_SOME_FAILED, WeftTest, adder_requests, main, read_rows,
                      weft, write_rows)

TEMPLATE = "{%- for m in messages %}{{ m.content }}{% endfor %}"
LATE = "{% call m() %}{% endcall %}"


def chats(count):
    return [{"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions",
             "body": {"messages": [{"role": "user", "content": "1+1="}], "max_tokens": 2,
                      "temperature": 0}} for i in range(count)]


def with_weights(source, target, change):
    """Copies a safetensors file; `change` gets each tensor's name and list of f32, or None."""
    raw = source.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + length])
    data = bytearray(raw[8 + length:])
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        changed = change(name, entry["dtype"], (end - begin))
        if changed is not None:
            data[begin:end] = changed
    target.write_bytes(raw[:8 + length] + data)


def element(dtype, value):
    bits = struct.pack("<f", value)
    return bits[2:] if dtype == "BF16" else bits


class Identity(WeftTest):

    def copy_of_model(self, name):
        model = self.folder / name
        shutil.copytree(self.model, model)
        return model

    def checkpoint(self, name, change=lambda *_: None):
        folder = self.folder / name
        shutil.copytree(ADDER, folder)
        with_weights(ADDER / "model.safetensors", folder / "model.safetensors", change)
        return folder

    def test_a_template_that_is_added_does_not_slip_in(self):
        model = self.copy_of_model("unlisted")
        prompts = write_rows(self.folder / "chats.jsonl", chats(3))
        job = self.write_job("unlisted-job", prompts)
        job.write_text(job.read_text().replace(str(self.model), str(model)))
        first = weft("run", job)
        self.assertEqual(first.status, EXIT_OK, first)

        template = model / "chat_template.jinja"
        template.write_text(TEMPLATE)
        for arguments in (["verify", model], ["plan", job], ["run", job],
                          ["generate", model, "--prompt", "1+1="], ["tokenize", model]):
            refused = weft(*arguments)
            self.assert_refused(refused, r"chat_template\.jinja: would change results",
                                f"weft convert --add-file {model} {template}")
        added = weft("convert", "--add-file", model, template)
        self.assertEqual(added.status, EXIT_OK, added)
        self.assertEqual(weft("verify", model).status, EXIT_OK)
        self.assert_refused(weft("run", job, "--retry-failed"), "the model was")
        again = self.folder / "unlisted-again"
        self.assertEqual(weft("run", job, "--set", f"output.dir={again}").status, EXIT_OK)

    def test_the_command_line_of_added_files(self):
        self.assert_refused(weft("convert"), "HF_DIR is required")
        self.assert_refused(weft("convert", ADDER), "MODEL_DIR is required")
        self.assert_refused(weft("convert", "--add-file", self.model, __file__), "reads no such file")
        self.assert_refused(weft("convert", ADDER, "--add-file", self.model, __file__), "no HF_DIR")

    def test_what_a_run_refuses_is_refused_before(self):
        tokenizer = json.loads((ADDER / "tokenizer.json").read_text())
        tokenizer["pre_tokenizer"] = {"type": "Split", "behavior": "Isolated", "invert": False,
                                      "pattern": {"Regex": "[a-z&&[^b]]"}}
        cases = [("tokenizer", "tokenizer.json", json.dumps(tokenizer)),
                 ("template", "chat_template.jinja", LATE),
                 ("end token", "generation_config.json", json.dumps({"eos_token_id": 10**6}))]
        for what, name, text in cases:
            with self.subTest(what):
                checkpoint = self.checkpoint(f"late-{what}".replace(" ", "-"))
                (checkpoint / name).write_text(text)
                model = self.folder / f"late-model-{what}".replace(" ", "-")
                converted = weft("convert", checkpoint, model)
                self.assert_refused(converted, ".")
                self.assertFalse(model.exists())
                # A directory that has it nevertheless.
                shutil.copytree(self.model, model)
                (model / name).write_text(text)
                weft("convert", "--add-file", model, model / name)
                job = self.write_job(f"late-job-{what}".replace(" ", "-"),
                                     write_rows(self.folder / "late.jsonl", chats(2)))
                job.write_text(job.read_text().replace(str(self.model), str(model)))
                planned = weft("plan", job)
                self.assert_refused(planned, ".")
                said = planned.complaints[0].replace(f"{model}/", "").replace("weft: ", "")
                verified = weft("verify", model)
                self.assert_refused(verified, ".")
                self.assertIn(said, verified.complaints[0].replace(f"{model}/", ""))
                ran = weft("run", job)
                if what == "template":  # which other requests do not need
                    rows = read_rows(self.folder / "late-job-template" / "results.jsonl")
                    self.assertEqual({row["error"]["message"] for row in rows}, {said})
                else:
                    self.assertIn(said, ran.complaints[0].replace(f"{model}/", ""))

    def test_weights_are_finite(self):
        def poisoned(name, dtype, size):
            if name != "model.norm.weight":
                return None
            one = element(dtype, float("nan"))
            return element(dtype, 1.0) * (size // len(one) - 1) + one

        checkpoint = self.checkpoint("poisoned", poisoned)
        self.assert_refused(weft("convert", checkpoint, self.folder / "poisoned-model"),
                            r"tensor model\.norm\.weight: element \[\d+\] is NaN")

    def test_rows_without_finite_logits_are_errors(self):
        def huge(name, dtype, size):
            if name != "model.norm.weight":
                return None
            return element(dtype, 3e38) * (size // len(element(dtype, 1)))

        checkpoint = self.checkpoint("huge", huge)
        model = self.folder / "huge-model"
        self.assertEqual(weft("convert", checkpoint, model).status, EXIT_OK)
        variants = [{}, {"temperature": 1}, {"logprobs": 2}, {"allowed_token_ids": [3, 4]},
                    {"temperature": 1, "top_k": 3}, {"echo": True, "logprobs": 1}, {"n": 2}]
        rows = adder_requests(len(variants))
        for row, parameters in zip(rows, variants):
            row["body"].update(parameters)
        job = self.write_job("huge-job", write_rows(self.folder / "huge.jsonl", rows))
        job.write_text(job.read_text().replace(str(self.model), str(model)))
        results = []
        for ranks, settings in ((None, []), (2, ["parallel.tp=2"]), (2, ["parallel.pp=2"]),
                                (2, ["parallel.sp=2"])):
            out = self.folder / f"huge-{len(results)}"
            results.append(self.run_job(job, out, *settings, ranks=ranks, status=EXIT_SOME_FAILED))
            self.assert_same_rows(results[-1], results[0], str(settings))
            summary = json.loads((out / "summary.json").read_text())
            self.assertEqual(summary["requests"]["non_finite_logits"], len(variants))
        for row in read_rows(self.folder / "huge-0" / "results.jsonl"):
            self.assertEqual(row["error"]["code"], "non_finite_logits", row)
            self.assertEqual(row["response"]["status_code"], 500)
        told = weft("generate", model, "--prompt", "1+1=")
        self.assertEqual(told.status, EXIT_SOME_FAILED, told)
        self.assertIn("NaN or infinite", told.err)


if __name__ == "__main__":
    main()
