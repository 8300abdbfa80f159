#!/usr/bin/env python3
"""Compares added tokens of tokenizer.json with the `tokenizers` package: ids, and text of the ids.

Makes byte-level and character-level vocabularies with generated added tokens (single characters of
the vocabulary, words, joiners and marks, every combination of flags) and texts in which these stand
beside letters, marks, joiners, numbers, spaces and each other. Ends with 1 at any difference.
"""

import argparse
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizers

CONTENTS = ["é", "\u0142", "\u0120", "!", "a", "ab", "<t>", "<x>", " x", "x ", "\u200d", "\u0301",
            "ä", "é\u0301", "1", "_", "\u4e00", "Ab", "\u24d0", "\n", "\u0130", "\xad"]
AROUND = ["", "a", "B", "1", "_", " ", "  ", "\t", "\u200c", "\u200d", "\u0301", "\u203f", "\u2460",
          "\u24d0", "\u2160", "\xb2", "\u0e31", "-", "\u3000", "\x85", "\xa0", "\u200b", "é",
          "\U0001f130", "\u4e00", "\U0001f600", "!", "e\u0301", "\u180e", "\ufeff", "\u0345"]


def vocabulary(byte_level):
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    if byte_level:
        return {c: i for i, c in enumerate(alphabet)}
    return {f"<0x{b:02X}>": b for b in range(256)} | {
        c: 256 + i for i, c in enumerate(sorted({"a", "é", "!", "ab", "\u2581", "1", "x"}))} | {
        "<unk>": 263}


def tokenizer_json(rng, byte_level):
    vocab = vocabulary(byte_level)
    added = []
    next_id = max(vocab.values()) + 1
    for content in rng.sample(CONTENTS, rng.randint(1, 5)):
        token = vocab.get(content)
        if token is None:
            token, next_id = next_id, next_id + 1
        flags = {name: rng.random() < 0.4 for name in ["special", "lstrip", "rstrip"]}
        added.append({"id": token, "content": content, "single_word": rng.random() < 0.6,
                      "normalized": rng.random() < 0.3, **flags})
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": rng.random() < 0.5}
    normalizer = rng.choice([None, {"type": "NFC"}, {"type": "NFKC"}])
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": sorted(added, key=lambda t: t["id"]), "normalizer": normalizer,
        "pre_tokenizer": level if byte_level else None, "post_processor": None,
        "decoder": level if byte_level else {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": None if byte_level else "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": not byte_level, "ignore_merges": False, "vocab": vocab,
                  "merges": []}}


def texts(rng, added, count):
    contents = [token["content"] for token in added]
    lines = ["".join(parts) for content in contents
             for parts in itertools.product(AROUND, [content], AROUND)]
    for _ in range(count):
        parts = rng.choices(AROUND + contents * 6, k=rng.randint(2, 9))
        lines.append("".join(parts))
    return [line for line in lines if line and "\n" not in line]


def run(weft, folder, arguments, lines):
    done = subprocess.run([weft, "tokenize", folder, *arguments], input="\n".join(lines) + "\n",
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, done.stderr.strip()
    return done.stdout.split("\n")[:-1], ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weft", help="the program")
    parser.add_argument("--tokenizers", type=int, default=200)
    parser.add_argument("--texts", type=int, default=300, help="random texts for each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=30, help="differences to print")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    counts = {"ids": [0, 0], "text": [0, 0]}
    refused = 0
    shown = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number in range(options.tokenizers):
            spec = tokenizer_json(rng, number % 2 == 0)
            (folder / "tokenizer.json").write_text(json.dumps(spec))
            lines = texts(rng, spec["added_tokens"], options.texts)
            reference = tokenizers.Tokenizer.from_str(json.dumps(spec))
            ids = [encoding.ids for encoding in reference.encode_batch(lines)]
            mine, why = run(options.weft, folder, ["--parse-special"], lines)
            if mine is None:
                refused += 1
                print("refused:", why[-200:])
                continue
            decoded = [reference.decode(one, skip_special_tokens=False) for one in ids]
            plain = [i for i, text in enumerate(decoded) if "\n" not in text]
            back, why = run(options.weft, folder, ["--decode", "--keep-special"],
                            [json.dumps(ids[i]) for i in plain])
            cases = [("ids", line, json.loads(a), b) for line, a, b in zip(lines, mine, ids)]
            cases += [("text", lines[i], a, decoded[i]) for i, a in zip(plain, back or [])]
            for kind, line, ours, theirs in cases:
                counts[kind][ours != theirs] += 1
                if ours != theirs and shown < options.show:
                    shown += 1
                    print(f"{kind} of {line!r}: {ours!r}, not {theirs!r}; {spec['added_tokens']}")
    print(f"\ntokenizers {tokenizers.__version__}, {options.tokenizers} tokenizers, {refused} refused\n")
    print("| what | equal | different |\n|---|---:|---:|")
    for kind, (equal, different) in counts.items():
        print(f"| {kind} | {equal:,} | {different:,} |")
    return 1 if refused or any(different for _, different in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
