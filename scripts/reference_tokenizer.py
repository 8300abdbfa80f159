#!/usr/bin/env python3
"""Makes tests/reference/tokenizer_*.json: small tokenizers and what they must produce.

Needs the packages `tokenizers` and `sentencepiece`. It trains its own tokenizers on text that it
makes up, then records the ids and texts that the two libraries give for a list of difficult inputs.

    python3 scripts/reference_tokenizer.py tests/reference
"""

import argparse
import base64
import io
import json
import pathlib
import random

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")

WORDS = {
    "en": "the rank layer token model prefill decode cache block batch it's they're we'll don't",
    "de": "über größe straße schön modell schicht für während ärger öffnen",
    "fr": "été élève façon où déjà modèle garçon cœur naïve",
    "ru": "слой модель память блок токен кэш очередь ранг",
    "el": "μοντέλο στρώμα μνήμη λέξη",
    "ar": "نموذج ذاكرة طبقة كلمة",
    "he": "מודל זיכרון שכבה מילה",
    "hi": "नमस्ते मॉडल स्मृति शब्द",
    "zh": "模型 内存 层 批次 令牌 缓存",
    "ja": "モデル メモリ トークン かな 漢字",
    "ko": "모델 메모리 토큰 계층",
    "emoji": "👍 👍🏽 👨‍👩‍👧 🇩🇪 ❤️ 🎉",
    "code": "for(int i=0; i<n; ++i){ return x[i]; } def f(a, b): # note",
    "numbers": "0 1 12 345 6789 3.14 1e-5 2026 ٣٤ Ⅷ ²",
}


def training_text(lines=1500):
    rng = random.Random(1)
    groups = [words.split() for words in WORDS.values()]
    ends = [".", "!", "\n", "  ", "\t", "\n    ", ", ", "...", " "]
    for _ in range(lines):
        group = rng.choice(groups)
        yield " ".join(rng.choice(group) for _ in range(rng.randint(3, 12))) + rng.choice(ends)


def inputs():
    """Texts as strings, and bytes where the input is not UTF-8."""
    yield from [
        "",
        "a",
        " the model",
        "  two  spaces   three    four \n\n\n lines \r\n\ttabs\t\t",
        "We'll say IT'S they're DON'T 'sſ ’s",
        "0 1 12 345 6789 123456789 3.14 ٣٤ Ⅷ ² ½",
        "for(int i=0; i<n; ++i){\n    return x[i];  // note\n}\n",
        "über GRÖSSE e\u0301te\u0301 İstanbul Σίσυφος ﬁ Å Ω q\u0307\u0323",
        "слой модель, μνήμη; נموذج זיכרון ذاكرة नमस्ते",
        "模型内存、モデルかな漢字ー々 모델 \u1112\u1161\u11ab",
        "👍👍🏽👨‍👩‍👧🇩🇪❤️ 𝔘𝔫𝔦 \U0010ffff",
        "x\u00a0y\u2003z\u3000w\u200bv\u180eu\u2028t\u0085s",
        "<|im_start|>user\nhi<|im_end|> <think> no </think>the therapy the",
        "<s>text</s><unk><0x41> ▁▁ under_score [INST]",
        "nul\0in the middle",
        "word" * 20,
        " " * 40 + "x",
    ]
    yield from [b"\xffa\xc3(\xe2\x82 \xf0\x9f\x98", b"ok\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80end\xe4\xb8"]


def as_case(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}, value.decode("utf-8", errors="replace")
    return {"text": value}, value


def record(tokenizer):
    """Of each input its ids, and its decoded text where that is not the input again."""
    cases = []
    for value in inputs():
        case, text = as_case(value)
        tokenizer.encode_special_tokens = True
        case["ids"] = tokenizer.encode(text).ids
        decoded = tokenizer.decode(case["ids"], skip_special_tokens=True)
        if decoded != text:
            case["decoded"] = decoded
        tokenizer.encode_special_tokens = False
        parsed = tokenizer.encode(text).ids
        if parsed != case["ids"]:
            case["parsed_ids"] = parsed
            case["parsed_decoded"] = tokenizer.decode(parsed, skip_special_tokens=False)
        cases.append(case)
    return cases


def with_variants(base, variants):
    """The base tokenizer's JSON, and its members that each variant replaces, with its cases."""
    root = json.loads(base.to_str())
    result = []
    for name, replace in variants.items():
        changed = json.loads(json.dumps(root))
        for path, value in replace.items():
            *parents, last = path.split("/")
            target = changed
            for parent in parents:
                target = target[parent]
            target[last] = value
        cases = record(Tokenizer.from_str(json.dumps(changed)))
        result.append({"name": name, "replace": replace, "cases": cases})
    return {"tokenizer": root, "variants": result}


def component(part):
    return json.loads(part.__getstate__())


def byte_level():
    pre = pre_tokenizers
    plain = pre.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre.Sequence([pre.Split(Regex(QWEN2), "isolated"), plain])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(training_text(), trainer)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens([AddedToken(s, normalized=False) for s in special])
    tokenizer.add_tokens(
        [
            AddedToken("<think>", normalized=False, lstrip=True),
            AddedToken("</think>", normalized=True, rstrip=True),
            AddedToken("the", normalized=True, single_word=True),
        ]
    )
    start = tokenizer.token_to_id("<|endoftext|>")

    def split(pattern, behavior, invert=False):
        pattern = Regex(pattern) if len(pattern) > 1 else pattern
        return component(pre.Sequence([pre.Split(pattern, behavior, invert), plain]))

    template = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", start)]
    )
    variants = {
        "qwen2": {},
        "llama3": {
            "normalizer": None,
            "model/ignore_merges": True,
            "pre_tokenizer": split(LLAMA3, "isolated"),
            "post_processor": component(
                processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
            ),
        },
        "gpt2": {"normalizer": None, "pre_tokenizer": component(pre.ByteLevel(False))},
        "gpt2 with prefix space": {"pre_tokenizer": component(pre.ByteLevel(True))},
        "digits after bytes": {
            "pre_tokenizer": component(
                pre.Sequence([pre.Punctuation("contiguous"), pre.ByteLevel(False), pre.Digits(False)])
            )
        },
        "single digits": {
            "pre_tokenizer": component(pre.Sequence([pre.Digits(True), pre.ByteLevel(False)]))
        },
        "rewriting": {
            "normalizer": component(
                normalizers.Sequence(
                    [
                        normalizers.NFKD(),
                        normalizers.Lowercase(),
                        normalizers.Strip(),
                        normalizers.Replace(Regex(r"\s+"), " "),
                        normalizers.Replace("oo", "0"),
                    ]
                )
            ),
            "added_tokens": [],
        },
        "nested class": {"pre_tokenizer": split(r" ?[^(\s|[.,!?…])]+", "isolated")},
        "removed": {"pre_tokenizer": split("e", "removed")},
        "merged with previous": {"pre_tokenizer": split(r"\s|e", "merged_with_previous")},
        "merged with next": {"pre_tokenizer": split(r"\s|e", "merged_with_next")},
        "contiguous": {"pre_tokenizer": split(r"\w|\d", "contiguous")},
        "inverted": {"pre_tokenizer": split(r"\p{L}+|\p{N}", "removed", True)},
    }
    return with_variants(tokenizer, variants)


def character_level():
    """Llama-2 style: U+2581 for spaces, byte fallback."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<s>", "</s>"] + bytes_,
        limit_alphabet=90, show_progress=False,
    )
    tokenizer.train_from_iterator(training_text(), trainer)
    root = json.loads(tokenizer.to_str())
    root["added_tokens"] = [t for t in root["added_tokens"] if not t["content"].startswith("<0x")]
    root["model"].update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    root["model"]["merges"] = [" ".join(merge) for merge in root["model"]["merges"]]
    root["normalizer"] = component(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    )
    root["pre_tokenizer"] = None
    d = decoders
    root["decoder"] = component(
        d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])
    )
    root["post_processor"] = component(
        processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    )
    base = Tokenizer.from_str(json.dumps(root))

    def metaspace(scheme, split):
        part = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
        decoder = decoders.Metaspace(prepend_scheme=scheme)
        return {
            "normalizer": None,
            "pre_tokenizer": component(part),
            "decoder": component(decoders.Sequence([decoders.ByteFallback(), decoder])),
        }

    variants = {
        "llama2": {},
        "metaspace first": metaspace("first", False),
        "metaspace always": metaspace("always", True),
        "metaspace never": metaspace("never", True),
        "unknown, fused": {"model/byte_fallback": False},
        "unknown, one by one": {"model/byte_fallback": False, "model/fuse_unk": False},
        "white space": {
            "normalizer": None,
            "pre_tokenizer": component(pre_tokenizers.Whitespace()),
            "decoder": None,
        },
    }
    return with_variants(base, variants)


def sentence_piece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=training_text(), model_writer=model, model_type="bpe", vocab_size=600,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, control_symbols=["[INST]"],
        user_defined_symbols=["<think>"], allow_whitespace_only_pieces=True,
        minloglevel=2, num_threads=1,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    cases = []
    for value in inputs():
        case, text = as_case(value)
        case["ids"] = [processor.bos_id()] + processor.encode(text)
        decoded = processor.decode(case["ids"])
        if decoded != text:
            case["decoded"] = decoded
        cases.append(case)
    encoded = base64.b64encode(model.getvalue()).decode()
    return {"model_base64": encoded, "cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    directory = parser.parse_args().directory
    makers = {
        "byte_level": byte_level,
        "character_level": character_level,
        "sentencepiece": sentence_piece,
    }
    for name, make in makers.items():
        text = json.dumps(make(), ensure_ascii=False, separators=(",", ":"))
        (directory / f"tokenizer_{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
