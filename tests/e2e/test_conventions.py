#!/usr/bin/env python3
"""What people expect of any program: schema, help on keys, completion, manual page, short flags."""

import json
import re
import shutil
import subprocess
import tempfile
import time

from weft_e2e import (DATA, EXIT_OK, EXIT_USER_ERROR, REPOSITORY, WEFT, WeftTest, adder_requests,
                      main, weft, write_rows)

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def has_type(value, name):
    if name in ("integer", "number"):
        kinds = int if name == "integer" else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def same(left, right):
    """Equal as JSON values: true is not 1."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def fits(value, schema):
    """Whether a value is valid, by the keywords of JSON Schema that job schemas use."""
    assert not set(schema) - {"$schema", "title", "description", "default", "type", "enum", "anyOf",
                              "properties", "required", "additionalProperties", "items",
                              "maxItems", "minLength", "pattern", "minimum", "maximum",
                              "exclusiveMinimum", "multipleOf"}, schema
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if types and not any(has_type(value, name) for name in types):
        return False
    if "enum" in schema and not any(same(value, word) for word in schema["enum"]):
        return False
    if "anyOf" in schema and not any(fits(value, other) for other in schema["anyOf"]):
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return (set(value) <= set(known) and set(schema.get("required", [])) <= set(value) and
                all(fits(item, known[name]) for name, item in value.items()))
    if isinstance(value, list):
        return (len(value) <= schema.get("maxItems", len(value)) and
                all(fits(item, schema.get("items", {})) for item in value))
    if isinstance(value, str):
        return (len(value) >= schema.get("minLength", 0) and
                re.search(schema.get("pattern", ""), value) is not None)
    if has_type(value, "number"):
        return (schema.get("minimum", value) <= value <= schema.get("maximum", value) and
                not value <= schema.get("exclusiveMinimum", value - 1) and
                value % schema.get("multipleOf", value or 1) == 0)
    return True


def plain_yaml(text):
    """The mapping of a simple job file: two levels of keys, flow values, comments."""
    job, section = {}, None
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not line:
            continue
        name, _, value = line.strip().partition(":")
        value = value.strip()
        if line[0] != " ":
            section = None
        if not value:
            section = job.setdefault(name, {})
            continue
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            pass
        (job if section is None else section)[name] = value
    return job


class Conventions(WeftTest):
    """Each convention as a user meets it."""

    def weft(self, *arguments, status=EXIT_OK, **options):
        result = weft(*arguments, **options)
        self.assertEqual(result.status, status, result)
        return result

    # The table of keys -----------------------------------------------------------------------

    def test_schema_takes_what_weft_takes(self):
        schema = json.loads(self.weft("job", "--schema").out)
        self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        example = plain_yaml((REPOSITORY / "configs" / "adder.yaml").read_text(encoding="utf-8"))
        self.assertTrue(fits(example, schema), example)
        job = self.write_job("full", DATA / "adder_prompts.jsonl")
        self.weft("run", job, "-q", "--set", "sampling.max_tokens=1")
        effective = plain_yaml((self.folder / "full" / "job.yaml").read_text(encoding="utf-8"))
        self.assertEqual(set(effective), set(schema["properties"]))
        self.assertTrue(fits(effective, schema), effective)
        try:
            import jsonschema
            jsonschema.Draft202012Validator.check_schema(schema)
            jsonschema.Draft202012Validator(schema).validate(effective)
        except (ImportError, AttributeError):
            pass  # the checks above remain

    def test_schema_refuses_what_weft_refuses(self):
        schema = json.loads(self.weft("job", "--schema").out)
        base = self.write_job("values", DATA / "adder_prompts.jsonl")
        job = plain_yaml(base.read_text(encoding="utf-8"))
        cases = [("sampling.temperature", ["0", "100", "1e-3"], ["-1", "101", "hot"]),
                 ("sampling.top_p", ["1", "0.5"], ["0", "1.5"]),
                 ("sampling.top_k", ["-1", "5"], ["-2", "1.5"]),
                 ("sampling.stop", ["END", '["a", "b"]'], ['[""]', json.dumps(["x"] * 17)]),
                 ("sampling.seed", ["-1", "18446744073709551615"], ["1.5", "x"]),
                 ("sampling.stop_token_ids", ["[1, 2]"], ["3", "[-1]"]),
                 ("engine.kv_block", ["16", "1024"], ["24", "8", "2048"]),
                 ("engine.kv_memory", ["auto", "8GiB", "0.5", "65536"], ["8Gb", "1.5", "0.0"]),
                 ("engine.threads", ["auto", "2"], ["0", "many"]),
                 ("engine.cuda_graphs", ["auto", "false"], ["yes", "1"]),
                 ("engine.isa", ["auto", "plain"], ["sse"]),
                 ("engine.watchdog_seconds", ["0", "1.5"], ["0.5", "-1"]),
                 ("output.digest", ["true"], ["1", "on"]),
                 ("run.time_limit", ["none", "90", "2h30m"], ["0", "5x", "h"])]
        for key, right, wrong in cases:
            for value, valid in [(value, True) for value in right] + [(v, False) for v in wrong]:
                with self.subTest(key=key, value=value):
                    section, name = key.split(".")
                    result = weft("plan", base, "--set", f"{key}={value}")
                    self.assertNotIn(": unknown key", result.err)
                    taken = f"--set {key}: " not in result.err
                    self.assertEqual(taken, valid, result)
                    try:
                        parsed = json.loads(value)
                    except json.JSONDecodeError:
                        parsed = value
                    changed = {**job, section: {**job.get(section, {}), name: parsed}}
                    self.assertEqual(fits(changed, schema), valid, changed)

    def test_help_on_keys(self):
        keys = self.weft("job", "--keys").out
        self.assertEqual(self.weft("job").out, keys)
        self.assertRegex(keys, r"(?m)^  engine\.kv_block +integer, 16 to 1024, multiple of 16 "
                               r"\(default 32\)$")
        self.assertIn(keys.strip(), self.weft("run", "--help").out)
        text = self.weft("help", "kv_block").out
        self.assertRegex(text, r"^engine\.kv_block\n  Tokens per block .*\n  type     integer, 16 to")
        self.assertEqual(self.weft("help", "engine.kv_block").out, text)
        self.assertGreater(len(self.weft("help", "engine").out.split("\n\n")), 10)
        self.assertIn("--retry-failed", self.weft("help", "run").out)
        self.assert_refused(weft("help", "kv_blok"), r"did you mean 'engine\.kv_block'")

    # Shells and man ----------------------------------------------------------------------------

    def complete(self, *words):
        """What bash offers for the last word, taken apart as bash does."""
        parts = [part for word in words for part in (re.split("(=)", word) if "=" in word
                                                     else [word])]
        if parts[-1] == "" and parts[-2:-1] == ["="]:
            parts.pop()
        script = (f"source <('{WEFT}' completion bash)\ncompopt() {{ :; }}\n"
                  "COMP_WORDS=(" + " ".join(f"'{part}'" for part in parts) + ")\n"
                  f"COMP_CWORD={len(parts) - 1}\n_weft\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n")
        result = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True,
                                timeout=60, check=True)
        return result.stdout.split()

    def test_bash_completion(self):
        self.assertIn("run", self.complete("weft", "r"))
        self.assertEqual(self.complete("weft", "run", "--retr"), ["--retry-failed"])
        self.assertEqual(self.complete("weft", "run", "--set", "engine.is"), ["engine.isa="])
        self.assertEqual(self.complete("weft", "run", "--set", "engine.isa=avx2"), ["avx2"])
        self.assertEqual(self.complete("weft", "run", "--set", "output.digest="), ["true", "false"])
        self.assertEqual(self.complete("weft", "convert", "--dtype", "b"), ["bf16"])
        self.assertEqual(self.complete("weft", "run", "job"), [])

    def test_zsh_completion(self):
        text = self.weft("completion", "zsh").out
        self.assertTrue(text.startswith("#compdef weft\n"))
        self.assertIn("engine.isa) compadd -- auto", text)
        if shutil.which("zsh"):
            with tempfile.NamedTemporaryFile("w", suffix=".zsh") as file:
                file.write(text)
                file.flush()
                subprocess.run(["zsh", "-n", file.name], check=True, timeout=60)
        self.weft("completion", "fish", status=EXIT_USER_ERROR)

    def test_manual_page(self):
        text = self.weft("help", "--man").out
        for part in [".TH WEFT 1", ".SH NAME", ".SS weft run JOB_YAML", "engine.kv_block", "75"]:
            self.assertIn(part, text)
        if shutil.which("groff"):
            shown = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                                   check=True)
            self.assertEqual(shown.stderr, "")

    # The command line --------------------------------------------------------------------------

    def test_a_key_without_set(self):
        job = self.write_job("hints", DATA / "adder_prompts.jsonl")
        for words in (["run", job, "--tp", "2"], ["run", "--tp", "2", job], ["plan", job, "--tp=2"],
                      ["run", job, "parallel.tp=2"], ["run", "parallel.tp=2", job],
                      ["run", job, "--parallel.tp", "2"]):
            with self.subTest(words=words):
                self.assert_refused(weft(*words), r"is a key of the job: write --set parallel\.tp=2")
        self.assert_refused(weft("run", job, "--max-batch-tokens", 9),
                            r"--set engine\.max_batch_tokens=9")
        self.assert_refused(weft("run", job, "--frobnicate", 2), "--frobnicate")
        self.assert_refused(weft("run", job, "--set", 'sampling.stop=["a", "b"'),
                            r"the list .* is open: a '\]' must end it")

    def test_quiet_and_short_flags(self):
        prompts = write_rows(self.folder / "short.jsonl", adder_requests(3))
        job = self.write_job("short", prompts)
        output = self.folder / "short-output"
        result = self.weft("run", job, "-q", "-j", 1, "-o", output)
        self.assertEqual(result.out + result.err, "")
        self.assertEqual(len((output / "results.jsonl").read_text().splitlines()), 3)
        self.assertIn("  threads: 1\n", (output / "job.yaml").read_text())
        self.assertIn("layouts of 2 ranks", self.weft("plan", job, "-n", 2).out)
        loud = self.weft("generate", self.model, "-p", "1+1=", "-n", 3, "-j", 1)
        quiet = self.weft("generate", self.model, "-p", "1+1=", "-n", 3, "-j", 1, "-q")
        self.assertEqual(quiet.out, loud.out)
        self.assertEqual(quiet.err, "")
        self.assertIn("tokens generated", loud.err)
        self.assert_refused(weft("run", self.folder / "none.yaml", "-q"), r"none\.yaml")

    def test_generate_has_the_bounds_of_the_table(self):
        for option, value, message in [("--top-p", "0", "must be above 0"),
                                       ("--top-k", "-2", "must be from -1"),
                                       ("--temperature", "101", "must be from 0 to 100"),
                                       ("--seed", "x", "must be a plain decimal integer"),
                                       ("--max-tokens", "010", "must be a plain decimal integer")]:
            with self.subTest(option=option):
                result = weft("generate", self.model, "--prompt", "1", f"{option}={value}")
                self.assert_refused(result, f"{option}: the value {message}")

    def test_version_is_quick(self):
        self.weft("--version")
        best = min(self.seconds_of("-V") for _ in range(5))
        self.assertLess(best, 0.5)  # about 0.02 s; a GPU driver would take seconds

    def seconds_of(self, *arguments):
        begin = time.monotonic()
        self.weft(*arguments)
        return time.monotonic() - begin


if __name__ == "__main__":
    main()
