#!/usr/bin/env python3
"""The other commands: help, convert, synth, verify, tokenize and generate."""

import json
import os
import re
import shutil
import subprocess
import time

from weft_e2e import (ADDER, DATA, EXIT_OK, WeftTest, adder_requests, completion_request, flip_byte,
                      main, start, weft, write_rows)

COMMANDS = ["convert", "synth", "verify", "tokenize", "plan", "run", "generate"]

# A small model of odd sizes; what differs between the architectures follows.
SMALL = {"vocab_size": 301, "hidden_size": 80, "intermediate_size": 112, "num_hidden_layers": 2,
         "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu",
         "max_position_embeddings": 256, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
         "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}
ARCHITECTURES = {
    "llama": {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False},
    "mistral": {"architectures": ["MistralForCausalLM"], "sliding_window": 40,
                "tie_word_embeddings": False},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True,
              "use_sliding_window": False},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "tie_word_embeddings": True,
              "attention_bias": False, "use_sliding_window": False},
}


class Commands(WeftTest):
    """Each command as its help describes it."""

    def weft(self, *arguments, status=EXIT_OK, **options):
        result = weft(*arguments, **options)
        self.assertEqual(result.status, status, result)
        return result

    def write_config(self, name, **changes):
        """A config.json in a folder of its own."""
        folder = self.folder / f"{name}-config"
        folder.mkdir(exist_ok=True)
        kind = name.partition("-")[0]
        config = {**SMALL, "model_type": kind, **ARCHITECTURES[kind], **changes}
        (folder / "config.json").write_text(json.dumps(config))
        return folder / "config.json"

    def synth(self, name, *options, **changes):
        model = self.folder / name
        self.weft("synth", self.write_config(name, **changes), model, *options)
        return model

    def digest_of(self, model, *options, ranks=None):
        """What `generate --digest` prints for a prompt of ids: text, and the digest."""
        result = self.weft("generate", model, "--ids", "1,17,5,99,200", "--max-tokens", "20",
                           "--digest", *options, ranks=ranks)
        return result.out, re.search(r"logits_digest ([0-9a-f]{32})", result.err).group(1)

    # Help ----------------------------------------------------------------------------------------

    def test_help(self):
        text = self.weft("--help").out
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} ")
        self.assertIn("Exit status", text)
        self.assertIn("mpirun", text)
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assertIn(f"weft {command}", self.weft(command, "--help").out)
        under_mpirun = self.weft("--help", ranks=3).out
        self.assertEqual(under_mpirun, text)

    def test_version(self):
        lines = self.weft("--version").out.splitlines()
        self.assertRegex(lines[0], r"^weft \d+\.\d+")
        self.assertRegex(lines[1], r"^build [0-9a-f]+$")
        self.assertRegex(lines[2], r"^numerics contract \d+$")
        self.assertRegex(lines[3], r"^backends: .*cpu")
        self.assertEqual(len(self.weft("--version", ranks=2).out.splitlines()), len(lines))

    # Models --------------------------------------------------------------------------------------

    def test_convert_does_not_overwrite(self):
        before = {path.name: path.read_bytes() for path in self.model.iterdir()}
        self.assert_refused(weft("convert", ADDER, self.model), "exists already")
        after = {path.name: path.read_bytes() for path in self.model.iterdir()}
        self.assertEqual(after, before)

    def test_convert_refuses_what_is_no_checkpoint(self):
        target = self.folder / "nothing"
        self.assert_refused(weft("convert", self.folder / "nowhere", target), "nowhere")
        empty = self.folder / "empty-checkpoint"
        empty.mkdir()
        self.assert_refused(weft("convert", empty, target), r"config\.json")
        shutil.copy(ADDER / "config.json", empty)
        self.assert_refused(weft("convert", empty, target), "safetensors")
        self.assertFalse(target.exists())

    def test_convert_refuses_damaged_checkpoints(self):
        target = self.folder / "from-damaged"
        whole = (ADDER / "model.safetensors").read_bytes()
        header = int.from_bytes(whole[:8], "little")
        for name, data in [
            ("truncated", whole[:len(whole) // 2]),
            ("header cut", whole[:8 + header // 2]),
            ("empty", b""),
            ("endless header", (2**62).to_bytes(8, "little") + whole[8:]),
            ("header no JSON", whole[:8] + b"x" * header + whole[8 + header:]),
            ("tensor missing", whole.replace(b"model.norm.weight", b"model.norm.waight")),
        ]:
            with self.subTest(damage=name):
                source = self.folder / "damaged-checkpoint"
                shutil.rmtree(source, ignore_errors=True)
                shutil.copytree(ADDER, source)
                (source / "model.safetensors").write_bytes(data)
                self.assert_refused(weft("convert", source, target),
                                    r"safetensors|tensor model\.norm")
                self.assertFalse((target / "weft.json").exists())

    def test_convert_to_f32(self):
        model = self.folder / "f32"
        self.weft("convert", ADDER, model, "--dtype", "f32")
        self.weft("verify", model)
        self.assertEqual(self.weft("generate", model, "--prompt", "123+456=").out, "579\n")

    def test_synth_architectures(self):
        for name in ARCHITECTURES:
            with self.subTest(architecture=name):
                model = self.synth(name)
                self.assertIn("sound", self.weft("verify", model).out)
                alone = self.digest_of(model)
                self.assertEqual(self.digest_of(model, "--tp", 3, ranks=3), alone)
                self.assertEqual(len(alone[0].split()), 20 if "2" not in alone[0].split() else 0)

    def test_synth_is_seeded_and_shards_do_not_show(self):
        first = self.digest_of(self.synth("qwen3-a", "--seed", 5))
        self.assertEqual(self.digest_of(self.synth("qwen3-b", "--seed", 5, "--tp", 3, "--pp", 2)),
                         first)
        self.assertNotEqual(self.digest_of(self.synth("qwen3-c", "--seed", 6)), first)

    def test_synth_refuses_bad_configurations(self):
        cases = [("llama-x", {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "gpt2"),
                 ("llama-y", {"hidden_size": -4}, "hidden_size"),
                 ("llama-z", {"num_key_value_heads": 4}, "num_key_value_heads|heads"),
                 ("llama-q", {"quantization_config": {"quant_method": "gptq"}}, "quantiz")]
        for name, changes, pattern in cases:
            with self.subTest(config=changes):
                config = self.write_config(name, **changes)
                self.assert_refused(weft("synth", config, self.folder / name), f"(?i){pattern}")
                self.assertFalse((self.folder / name).exists())

    def test_models_without_tokenizer(self):
        """Ids go in and out; text is refused where it is given, not before."""
        model = self.synth("llama-bare")
        prompts = write_rows(self.folder / "bare.jsonl", [
            completion_request("ids", [1, 5, 9], max_tokens=4),
            completion_request("text", "hello")])
        output = self.folder / "bare-out"
        job = self.write_job("bare-out", prompts, sampling__temperature=0)
        rows = [json.loads(line) for line in self.run_job(
            job, output, f"model={model}", status=3).splitlines()]
        self.assertEqual(rows[0]["response"]["status_code"], 200)
        self.assertIn("tokenizer", rows[1]["error"]["message"])
        self.assert_refused(weft("generate", model, "--prompt", "hello"), "tokenizer", "--ids")
        self.assert_refused(weft("tokenize", model), "tokenizer")

    def test_generation_config_without_tokenizer(self):
        config = self.write_config("llama-stops")
        (config.parent / "generation_config.json").write_text('{"eos_token_id": [2, 3]}')
        model = self.folder / "llama-stops"
        self.weft("synth", config, model)
        self.weft("generate", model, "--ids", "1,2,3", "--max-tokens", "3")

    def test_verify_names_every_fault(self):
        model = self.folder / "faulty"
        shutil.copytree(self.model, model)
        flip_byte(model / "shard-pp00-tp00.h5", 200_000)
        flip_byte(model / "shard-pp00-tp00.h5", 700_000)
        flip_byte(model / "tokenizer.json", 5_000)
        result = weft("verify", model)
        self.assert_refused(result, "3 faults", r"tokenizer\.json", r"model\.layers\.\d\.\S+ is",
                            "bytes")

    # Text ----------------------------------------------------------------------------------------

    def test_tokenize_round_trip(self):
        lines = ["417+385=", "", "The sum of twelve and seven.", "  spaces\tand tabs ",
                 "Zürich, 東京, 🙂 — déjà vu", "<|endoftext|>", "a" * 300]
        encoded = self.weft("tokenize", self.model, stdin="\n".join(lines) + "\n").out
        ids = [json.loads(line) for line in encoded.splitlines()]
        self.assertEqual(len(ids), len(lines))
        self.assertEqual(len(ids[0]), 8)  # one token a digit
        self.assertEqual(ids[1], [])
        self.assertNotIn(377, ids[5])  # text that a user wrote is no special token
        decoded = self.weft("tokenize", self.model, "--decode", stdin=encoded)
        self.assertEqual(decoded.out, "\n".join(lines) + "\n")
        without = self.weft("tokenize", self.model, "--decode", stdin="[377, 16, 378]\n")
        self.assertEqual(without.out, "1\n")
        kept = self.weft("tokenize", self.model, "--decode", "--keep-special",
                         stdin="[377, 16, 378]\n")
        self.assertEqual(kept.out, "<|endoftext|>1<|im_start|>\n")

    def test_tokenize_refuses_bad_lines(self):
        for text in ["[1, -2]", "[1.5]", "5", "nonsense", "[1"]:
            with self.subTest(line=text):
                result = weft("tokenize", self.model, "--decode", stdin=f"[16]\n{text}\n")
                self.assert_refused(result, "line 2")
        self.weft("tokenize", self.model, stdin="")

    def test_generate(self):
        """The same text and digest on one rank and on several, greedy and sampled."""
        for options in (["--max-tokens", "8"],
                        ["--temperature", "2.5", "--top-p", "0.95", "--top-k", "60", "--seed", "7",
                         "--max-tokens", "16"]):
            with self.subTest(options=options):
                found = set()
                for ranks, extra in [(None, []), (3, ["--tp", "3"]), (2, ["--tp", "2"]),
                                     (None, ["--threads", "2", "--isa", "plain"])]:
                    result = self.weft("generate", self.model, "--prompt", "640+251=", "--digest",
                                       *options, *extra, ranks=ranks)
                    digest = re.search(r"logits_digest ([0-9a-f]{32})", result.err).group(1)
                    found.add((result.out, digest))
                self.assertEqual(len(found), 1, found)
        self.assertEqual(self.weft("generate", self.model, "--prompt", "640+251=").out, "891\n")
        (self.folder / "prompt.txt").write_text("640+251=")
        self.assertEqual(self.weft("generate", self.model, "--prompt-file",
                                   self.folder / "prompt.txt").out, "891\n")
        ids = ",".join(map(str, json.loads(self.weft("tokenize", self.model,
                                                     stdin="640+251=\n").out)))
        self.assertEqual(self.weft("generate", self.model, "--ids", ids).out, "891\n")

    def test_generate_equals_run(self):
        """One prompt gives the same digest in a job as alone."""
        prompts = write_rows(self.folder / "one.jsonl", adder_requests(20, max_tokens=8))
        job = self.write_job("one", prompts, output__digest=True)
        row = json.loads(self.run_job(job, self.folder / "one").splitlines()[7])
        prompt = adder_requests(20)[7]["body"]["prompt"]
        result = self.weft("generate", self.model, "--prompt", prompt, "--max-tokens", 8,
                           "--digest")
        self.assertIn(row["weft"]["logits_digest"], result.err)

    def test_generate_streams(self):
        """Text comes out token by token, not at the end."""
        config = self.write_config("llama-stream", hidden_size=768, intermediate_size=2048,
                                   num_hidden_layers=12, num_attention_heads=12, vocab_size=380,
                                   eos_token_id=379)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(ADDER / name, config.parent)
        model = self.folder / "llama-stream"
        self.weft("synth", config, model)
        process = start("generate", model, "--prompt", "1+1=", "--max-tokens", "60",
                        out=subprocess.PIPE)
        pieces = []
        try:
            while piece := os.read(process.stdout.fileno(), 4096):
                pieces.append((time.monotonic(), piece))
            self.assertEqual(process.wait(timeout=60), EXIT_OK)
        finally:
            process.kill()
            process.stdout.close()
        self.assertGreater(len(pieces), 3)
        whole = self.weft("generate", model, "--prompt", "1+1=", "--max-tokens", "60")
        self.assertEqual(b"".join(piece for _, piece in pieces).decode(errors="replace"),
                         whole.out)


if __name__ == "__main__":
    main()
