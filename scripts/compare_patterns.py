#!/usr/bin/env python3
"""Compares the patterns of tokenizer.json with the `tokenizers` package, construct by construct.

Each construct becomes a tokenizer that cuts a text at every match and writes a marker before each
piece, so that the ids show all cuts but those before a space. Texts are generated: each character class that
Oniguruma knows has members in them, alone, beside each other and at both ends. Needs the package
`tokenizers`. Ends with 1 if weft accepted a pattern and cut otherwise.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizers

# Members of what patterns tell apart: letters of all cases and scripts, numbers of all three
# kinds, marks, connectors, joiners, spaces, line ends, controls, symbols, folding partners.
CHARACTERS = list(
    "aAzZ_09 .-'!|^$[]{}\\\t\n\r\v\f\x1c\x85\xa0\u1680\u180e\u2003\u2028\u2029\u202f\u3000\u200b"
    "\u200c\u200d\ufeff\xad\xb2\xb9\xbc\xaa\xb5\xdf\u1e9e\u0130\u0131\u017f\u212a\u2126\u03c3\u03c2"
    "\u03a3\u01c5\u01c4\u02b0\u0301\u0903\u20dd\u203f\ufe33\u2460\u2160\u24b6\u24d0\u0660\u0e01"
    "\u4e00\u3042\u30a2\uac00\u0430\u0410\u05d0\u0627\ufb00\ufb05\u0149\u01f0\u0390\u1f88\u1fb3"
    "\u0587\u00e9\u20ac\u2211\u0378\U0001f130\U0001f600\U0001d7ce\U00010400\U00010428\U000e0100"
    "sSkKtT\u0345\u0399\u03b9\u1fbe\u00c5\u212b\u1c80\u0432\ua64b\u1c88\ufb06\u1e61\u1e9b"
    "\u0660\u06dd\u070f\u3007\ufdfc")

ATOMS = [r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\h", r"\H", r"\R", r"\X", r"\b", r"\B", r"\A",
         r"\z", r"\Z", r"\G", r"\K", r"\N", r"\O", "^", "$", ".", r"\x41", r"\x{e9}", r"\u00e9",
         r"\t", r"\n", r"\r", r"\v", r"\f", r"\a", r"\e", r"\-", r"\|", r"\'", r"\ ", r"\/", r"\_"]
PROPERTIES = ["L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P",
              "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs",
              "Zl", "Zp", "C", "Cc", "Cf", "Cn", "Co", "Letter", "Number", "Punctuation", "Symbol",
              "Mark", "Separator", "Other", "Han", "Hiragana", "Katakana", "Hangul", "Latin",
              "Cyrillic", "Greek", "Arabic", "Hebrew", "Thai", "Alphabetic", "Uppercase",
              "Lowercase", "Alpha", "Digit", "Space", "Upper", "Lower", "Punct", "Alnum", "Word",
              "Any", "Assigned", "XDigit", "Blank", "Cntrl", "Graph", "Print", "ASCII",
              "White_Space", "Emoji", "Lowercase_Letter", "Common", "Inherited"]
POSIX = ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
         "space", "upper", "xdigit", "word"]
CLASSES = [r"[\w]", r"[^\w]", r"[\w\s]", r"[^\w\s]", r"[\d_]", r"[^\d]", r"[\s]", r"[^\s]", r"[\S]",
           r"[\W]", r"[\D]", r"[^\W]", r"[^\S]", r"[\h]", r"[a-z]", r"[^a-z]", "[a-zA-Z]", r"[\p{L}]",
           r"[^\p{L}\p{N}]", r"[\P{L}]", r"[\p{^L}]", r"[^\s\p{L}\p{N}]", r"[\r\n]", r"[^\r\n]",
           r"[a[0-9]]", r"[^a[0-9]]", r"[a[^b]]", r"[a&&a]", r"[\w&&[^_]]", r"[a-z&&[^k]]", r"[]a]",
           r"[a\]]", r"[a-]", r"[-a]", r"[\w-]", r"[a-\w]", r"[\b]", r"[\x41-\x5a]",
           r"[\u0410-\u042f]", r"[а-я]", r"[^ ]", r"[\p{L}--a]", r"[.]", r"[$^]", r"[\\]", r"[|]",
           r"[\v]", r"[\x{41}-\x{5a}]", r"[\p{L}&&[^a]]", r"[[a-c][x-z]]", r"[^[a-c][x-z]]"]
FOLDED = ["s", "k", "K", "\u017f", "\u212a", "ss", "\xdf", "\u1e9e", "i", "I", "\u0130", "\u0131",
          "\u03c3", "\u03a3", "\u03c2", "\xe9", "\xc9", "\u0149", "ff", "\ufb00", "st", "\ufb05",
          "\ufb06", "fi", "[a-z]", "[A-Z]", "[^a-z]", "[s]", "[^s]", "[\xdf]", "[k]", "\u2126",
          "\u03c9", "\u00e5", "\u01c5", "\u01c4", "'s", "'ll", "'ve", r"\p{Lu}", r"\p{Ll}",
          r"[\p{Lu}]", r"[^\p{Lu}]", "[\u0410-\u042f]", "\U00010400", "\u0390", "\u1f88", "\u1fb3",
          "\u0345", "\u0399", "\xb5", r"\x53", r"\x{17f}", r"\u017f", "[\u017f]", r"[\x{17f}]",
          "\u02bcn", "aʾ", "\u0587", "t", "h", "w", "y", "j", "a", "f", "fl", "ffi"]
SHAPES = ["{}", "{}+", "{}+?", "{}*", "{}?", "{}{{2}}", "{}{{1,2}}", "{}{{,2}}", "{}{{2,}}", "{}++",
          "a{}", "{}a", "(?={})", "(?!{})", "(?<={})", "(?<!{})", "(?>{}+)", "(?:{}|a)", "(?i){}",
          "(?i:{})", "(?<x>{})", "({})"]
WHOLE = [r"\d{1,3}(?=(?:\d{3})*\b)", r"\d{1,3}(?=(?:\d{3})+(?!\d))", r"\b\w+\b", r"\B\w", r"\w\B",
         r"\ba", r"a\b", r"\b", r"\B", r"\b+", r"(?:\b|\d)+", r"a|\b", r"\s+(?!\S)", r"(?m:.)",
         r"(?x: a )", r"(?m).", r"(?s).", r"(?s:.)", r"(?a)\w", r"(?i)a(?-i)b", r"(?i-m:a)", r"(a)\1",
         r"(?<n>a)\k<n>", r"\p{L}+(?i:\p{N})", r"(?#c)a", r"a(?~b)", r"a**", r"a{2}{3}", r"a{2}+",
         r"a{2}?", r"a{,}", r"a{x", r"{2}", r"(?i:ss)", r"(?i:[\xdf])", r"^a", r"a$", r"a\Z", r"\Aa",
         r"(?<=a|bc)d", r"(?<=\b)a", r"(?<!\w)a", r"[^\b]", r"(?i:\b)", r"\0", r"\01", r"\101", r"\cA",
         r"\M-a", r"\C-a", r"\y", r"\Y", r"\Q.\E"]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def constructs():
    """(kind, pattern) of all constructs."""
    atoms = ATOMS + [f"\\{p}{{{name}}}" for name in PROPERTIES for p in "pP"]
    for atom in atoms:
        yield from (("atom", shape.format(atom)) for shape in (SHAPES if atom in ATOMS else ["{}"]))
    yield from (("class", shape.format(c)) for c in CLASSES for shape in ["{}", "{}+", "(?i:{})"])
    yield from (("posix", f"[[:{n}{name}:]]") for name in POSIX for n in ["", "^"])
    yield from (("posix", f"[a[:{name}:]]+") for name in POSIX)
    yield from (("case", shape.format(f)) for f in FOLDED for shape in ["(?i:{})", "(?i){}", "(?i:{}+)"])
    yield from (("whole", pattern) for pattern in WHOLE)
    yield from (("model", pattern) for pattern in [GPT2, QWEN2, LLAMA3, O200K])


def texts(count, seed):
    """Texts without line ends, which `weft tokenize` reads as such; `\\n` stands for one."""
    rng = random.Random(seed)
    lines = [c + d for c in CHARACTERS for d in ["", "a", "1"]] + ["a" + c for c in CHARACTERS]
    lines += ["1234\u2460", "1234\u0301", "abc def", "ss \xdf SS \u1e9e", "1234567 12345 12", "bcd ad"]
    for _ in range(count):
        lines.append("".join(rng.choices(CHARACTERS, k=rng.randint(1, 12))))
    return [line.replace("\n", "").replace("\r", "") or "a" for line in lines]


def tokenizer_json(pattern):
    """Writes a marker before each piece and the bytes of all pieces. U+E000 becomes a line end."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"\u2581": 256, "<unk>": 257}
    pieces = [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
               "invert": False},
              {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always",
               "split": False}]
    replace = [{"type": "Replace", "pattern": {"String": "\ue000"}, "content": "\n"},
               {"type": "Replace", "pattern": {"String": "\ue001"}, "content": "\r"}]
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": replace},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pieces}, "post_processor": None,
        "decoder": {"type": "ByteFallback"},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": True, "ignore_merges": False,
                  "vocab": vocab, "merges": []}})


def reference(text, lines):
    """Ids of all lines; nothing if the package refuses the pattern."""
    try:
        tokenizer = tokenizers.Tokenizer.from_str(text)
        return [encoding.ids for encoding in tokenizer.encode_batch(lines)]
    except BaseException:  # the package panics on some patterns
        return None


def ours(weft, folder, text, lines):
    """Ids of all lines; nothing if weft refuses the pattern, with its message."""
    (folder / "tokenizer.json").write_text(text)
    done = subprocess.run([weft, "tokenize", folder], input="\n".join(lines) + "\n",
                          capture_output=True, text=True, check=False)
    if done.returncode == 2:
        return None, done.stderr.strip()
    if done.returncode != 0:
        return None, f"status {done.returncode}: {done.stderr.strip()}"
    return [json.loads(line) for line in done.stdout.splitlines()], ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weft", help="the program")
    parser.add_argument("--texts", type=int, default=400, help="random texts beside the fixed ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=40, help="differences to print")
    parser.add_argument("--refused", action="store_true", help="print what weft alone refuses")
    options = parser.parse_args()
    lines = texts(options.texts, options.seed)
    lines += [line + "\ue000" + other for line, other in zip(lines[::7], lines[::5])]
    lines += [line + "\ue001\ue000" + line for line in lines[::23]]
    counts = {}
    shown = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind, pattern in constructs():
            text = tokenizer_json(pattern)
            theirs = reference(text, lines)
            mine, why = ours(options.weft, folder, text, lines)
            if mine is None:
                outcome = "refused" if theirs is not None else "refused by both"
                if options.refused and theirs is not None:
                    print(f"refused {pattern!r}: {why[-160:]}")
            elif theirs is None:
                outcome = "refused by the reference alone"
                print(f"accepted alone {pattern!r}")
            elif mine == theirs:
                outcome = "equal"
            else:
                outcome = "different"
                bad = [i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b]
                if shown < options.show:
                    print(f"DIFFERENT {pattern!r}: {len(bad)} texts, such as {lines[bad[0]]!r}")
                shown += 1
            row = counts.setdefault(kind, {})
            row[outcome] = row.get(outcome, 0) + 1
    names = ["equal", "different", "refused", "refused by both", "refused by the reference alone"]
    print(f"\ntokenizers {tokenizers.__version__}, {len(lines)} texts\n")
    print("| constructs | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for kind, row in counts.items():
        print(f"| {kind} | " + " | ".join(str(row.get(n, 0)) for n in names) + " |")
    return 1 if any(row.get("different") for row in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
