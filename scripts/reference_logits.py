#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference logits of small random models, computed by Hugging Face Transformers.

Each case is a config.json, a seed and a prompt. The weights are those of `weft synth` for that config
and seed (the formula stands in src/model/files/synth.h and is repeated here), so none are stored. Each case
becomes one file under tests/reference/logits/; its README.md explains the fields.

Usage:
  python3 scripts/reference_logits.py                        # (re)make all tables
  python3 scripts/reference_logits.py --case NAME...         # only these; --list shows the names
  python3 scripts/reference_logits.py --export NAME DIR [--dtype f32|bf16|f16] [--shards N] [--stacked]
        # write the case as a Hugging Face directory, to hold `weft convert` against `weft synth`
Needs torch, transformers, numpy and safetensors. One thread, so that a re-run gives the same bits.
"""
import argparse
import base64
import copy
import json
import math
import random
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM

OUT = Path(__file__).resolve().parent.parent / "tests" / "reference" / "logits"
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM",
           "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
           "mixtral": "MixtralForCausalLM", "qwen2_moe": "Qwen2MoeForCausalLM",
           "qwen3_moe": "Qwen3MoeForCausalLM"}


# ---- cases -----------------------------------------------------------------------------------

def case(about, prompt, model_type, hidden, heads, ffn, layers, vocab, **more):
    """A case: what it shows, the prompt's length, and its config.json; None in `more` drops a key."""
    config = {"architectures": [CLASSES[model_type]], "model_type": model_type, "vocab_size": vocab,
              "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
              "num_attention_heads": heads, "hidden_act": "silu", "max_position_embeddings": 512,
              "rms_norm_eps": 1e-5 if model_type in ("llama", "mistral", "mixtral") else 1e-6,
              "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 1,
              "eos_token_id": 2, "torch_dtype": "float32"} | more
    return about, prompt, {key: value for key, value in config.items() if value is not None}


def yarn(factor, original, **more):
    return {"max_position_embeddings": int(factor * original),
            "rope_scaling": {"rope_type": "yarn", "factor": factor,
                             "original_max_position_embeddings": original} | more}


CASES = {
    "llama-defaults": case(
        "head_dim, num_key_value_heads and rope_theta left to their defaults", 45,
        "llama", 96, 8, 100, 2, 257, rope_theta=None),
    "llama-linear": case(
        "untied head, rope scaling 'linear', two KV heads", 60,
        "llama", 64, 8, 172, 2, 257, num_key_value_heads=2, head_dim=8,
        rope_scaling={"rope_type": "linear", "factor": 4.0}),
    "llama-llama3-bias": case(
        "rope scaling 'llama3', attention_bias, head_dim != hidden / heads, two attention blocks", 150,
        "llama", 72, 8, 100, 3, 301, num_key_value_heads=4, head_dim=16, attention_bias=True,
        rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                      "high_freq_factor": 4.0, "original_max_position_embeddings": 64}),
    "llama-tied-mha": case(
        "tied embeddings, a KV head for every query head, head_dim 24 with hidden / heads = 10", 40,
        "llama", 80, 8, 172, 2, 515, num_key_value_heads=8, head_dim=24, rope_theta=500000.0,
        tie_word_embeddings=True),
    "llama-yarn": case(
        "rope scaling 'yarn' with its defaults, three attention blocks", 280,
        "llama", 64, 8, 100, 2, 515, num_key_value_heads=2, head_dim=16, **yarn(4.0, 128)),
    "llama-yarn-attention-factor": case(
        "yarn with attention_factor, own betas and truncate off, head_dim 12", 90,
        "llama", 48, 8, 172, 2, 301, num_key_value_heads=4, head_dim=12,
        **yarn(8.0, 64, attention_factor=1.3, beta_fast=8.0, beta_slow=0.5, truncate=False)),
    "llama-yarn-mscale": case(
        "yarn with mscale and mscale_all_dim, one KV head, head_dim 32", 90,
        "llama", 56, 4, 100, 2, 257, num_key_value_heads=1, head_dim=32, tie_word_embeddings=True,
        **yarn(16.0, 32, mscale=1.5, mscale_all_dim=0.7)),
    "mistral-window": case(
        "sliding window of 33 keys, one KV head, two attention blocks", 150,
        "mistral", 64, 8, 172, 2, 997, num_key_value_heads=1, head_dim=16, sliding_window=33),
    "mistral-window-blocks": case(
        "sliding window of 140 keys: whole attention blocks fall out of it", 300,
        "mistral", 48, 4, 100, 2, 301, num_key_value_heads=2, head_dim=32, sliding_window=140,
        rope_theta=1000000.0),
    "mistral-full": case(
        "no sliding window, head_dim 10", 25,
        "mistral", 80, 8, 100, 2, 257, num_key_value_heads=4, head_dim=10),
    "qwen2-tied": case(
        "q/k/v biases, tied embeddings, a sliding_window that use_sliding_window turns off", 130,
        "qwen2", 96, 8, 172, 2, 515, num_key_value_heads=2, rope_theta=1000000.0, sliding_window=20,
        use_sliding_window=False, max_window_layers=1, tie_word_embeddings=True),
    "qwen2-window": case(
        "sliding window of 20 keys from layer max_window_layers = 1 on", 170,
        "qwen2", 64, 8, 100, 3, 257, num_key_value_heads=4, sliding_window=20,
        use_sliding_window=True, max_window_layers=1),
    "qwen3-tied": case(
        "q and k norms, tied embeddings, vocabulary of 997, hidden not a multiple of the heads", 145,
        "qwen3", 84, 8, 172, 3, 997, num_key_value_heads=2, head_dim=16, rope_theta=1000000.0,
        attention_bias=False, tie_word_embeddings=True),
    "qwen3-bias-window": case(
        "attention_bias, five query heads on one KV head, sliding window of 50 keys from layer 1 on", 140,
        "qwen3", 60, 5, 100, 2, 301, num_key_value_heads=1, head_dim=24, attention_bias=True,
        sliding_window=50, use_sliding_window=True, max_window_layers=1),
    "qwen3-yarn": case(
        "q and k norms, yarn, six query heads on two KV heads", 200,
        "qwen3", 72, 6, 172, 2, 515, num_key_value_heads=2, head_dim=16, attention_bias=False,
        **yarn(4.0, 64)),
    "qwen3-rope-parameters": case(
        "the same kind of model as Transformers 5 writes it: rope_parameters, layer_types, dtype", 65,
        "qwen3", 64, 8, 100, 2, 257, num_key_value_heads=8, head_dim=8, attention_bias=False,
        rope_theta=None, torch_dtype=None, dtype="float32", use_sliding_window=True, sliding_window=16,
        max_window_layers=1, layer_types=["full_attention", "sliding_attention"],
        rope_parameters={"rope_type": "linear", "rope_theta": 20000.0, "factor": 2.0}),
    "qwen3-moe-top2": case(
        "8 experts, 2 a token, their probabilities renormalised, all layers sparse", 60,
        "qwen3_moe", 48, 4, 100, 3, 257, num_key_value_heads=2, head_dim=12, attention_bias=False,
        num_experts=8, num_experts_per_tok=2, moe_intermediate_size=40, norm_topk_prob=True),
    "qwen3-moe-top8-interleaved": case(
        "16 experts, 8 a token, not renormalised, dense layers by mlp_only_layers and decoder_sparse_step", 140,
        "qwen3_moe", 64, 8, 100, 4, 301, num_key_value_heads=1, head_dim=16, attention_bias=True,
        num_experts=16, num_experts_per_tok=8, moe_intermediate_size=50, norm_topk_prob=False,
        mlp_only_layers=[3], decoder_sparse_step=2, tie_word_embeddings=True),
    "mixtral-window": case(
        "8 experts, 2 a token, sliding window of 33 keys in all layers", 80,
        "mixtral", 64, 4, 72, 2, 257, num_key_value_heads=2, num_local_experts=8,
        num_experts_per_tok=2, sliding_window=33, rms_norm_eps=1e-5),
    "qwen2-moe-shared": case(
        "a shared expert behind a gate, 8 experts, 3 a token, q/k/v biases, one dense layer", 50,
        "qwen2_moe", 56, 4, 100, 3, 257, num_key_value_heads=4, num_experts=8, num_experts_per_tok=3,
        moe_intermediate_size=24, shared_expert_intermediate_size=72, mlp_only_layers=[0]),
    "qwen2-moe-alternating-window": case(
        "sliding window of 20 keys in every second layer before max_window_layers = 3", 90,
        "qwen2_moe", 48, 4, 64, 4, 257, num_key_value_heads=2, num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=32, shared_expert_intermediate_size=40, norm_topk_prob=True,
        use_sliding_window=True, sliding_window=20, max_window_layers=3),
}


def prompt_of(name):
    """The case's seed, prompt and the positions whose logits are kept (first, last, two between)."""
    _, length, config = CASES[name]
    seed = 1000 + list(CASES).index(name)  # so a new case goes to the end
    tokens = random.Random(seed)
    inner = [127, 128] if length > 129 else [length // 3, 2 * length // 3]
    return seed, [tokens.randrange(config["vocab_size"]) for _ in range(length)], [0, *inner, length - 1]


# ---- the weights of `weft synth` (src/model/files/synth.h) -------------------------------------------

def philox(key, blocks):
    """Philox4x32-10: the four words of each of the counters 0 … blocks-1, flattened."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    n = np.arange(blocks, dtype=np.uint64)
    c = [n & low, n >> half, np.zeros_like(n), np.zeros_like(n)]
    for step in range(10):
        k0 = np.uint64((key + step * 0x9E3779B9) & 0xFFFFFFFF)
        k1 = np.uint64(((key >> 32) + step * 0xBB67AE85) & 0xFFFFFFFF)
        p0 = np.uint64(0xD2511F53) * c[0]
        p1 = np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> half) ^ c[1] ^ k0, p1 & low, (p0 >> half) ^ c[3] ^ k1, p0 & low]
    return np.stack(c, axis=1).reshape(-1)


def synth(name, shape, seed):
    """One tensor of `weft synth` in f32."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 % 2**64
    key = (key + seed * 0x9E3779B97F4A7C15) % 2**64
    count = math.prod(shape)
    words = philox(key, -(-count // 4))[:count]
    v = np.float32(2) * ((words >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)) - np.float32(1)
    if name.endswith("norm.weight"):
        v = np.float32(1) + np.float32(0.1) * v
    elif name.endswith(".bias"):
        v = np.float32(0.1) * v
    elif name != "model.embed_tokens.weight":
        v = np.float32(math.sqrt(3.0) / math.sqrt(shape[1])) * v
    return torch.from_numpy(v.reshape(shape))


def checkpoint_parts(name, shape, mixtral):
    """The tensors of a Hugging Face checkpoint, by name, that a parameter of Transformers' is made of, with
    their shapes, in order: experts are stored one by one, gates and ups apart, and mixtral has its own names."""
    if mixtral:
        name = name.replace(".mlp.", ".block_sparse_moe.")
    stem, _, last = name.rpartition(".")
    if last not in ("gate_up_proj", "down_proj") or not stem.endswith(".experts"):
        return [(name, shape)]
    kinds = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}[last]
    own = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
    experts, rows, columns = shape
    return [(f"{stem}.{expert}.{own[kind] if mixtral else kind}.weight", (rows // len(kinds), columns))
            for expert in range(experts) for kind in kinds]


def is_mixtral(model):
    return model.config.model_type == "mixtral"


def weights_of(model, seed):
    """All weights of the model in f32; a tied head is not a tensor of its own."""
    weights = {}
    for name, p in model.named_parameters():
        parts = [synth(part, shape, seed) for part, shape in
                 checkpoint_parts(name, tuple(p.shape), is_mixtral(model))]
        weights[name] = torch.cat(parts).reshape(p.shape)
    return weights


def as_checkpoint(model, weights):
    """The weights under the names and in the shapes of a Hugging Face checkpoint."""
    tensors = {}
    for name, value in weights.items():
        parts = checkpoint_parts(name, tuple(value.shape), is_mixtral(model))
        rows = value.reshape(-1, *parts[0][1][1:]).split([shape[0] for _, shape in parts])
        tensors |= {part: own.clone() for (part, _), own in zip(parts, rows)}
    return tensors


# ---- Transformers ------------------------------------------------------------------------------

class Binary64(TorchFunctionMode):
    """Turns the places where Transformers asks for f32 whatever the model's dtype is (norms, softmax,
    rotary angles and frequencies) into f64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.float:
            return args[0].double()

        def widen(value):
            return torch.float64 if value is torch.float32 else value

        return func(*map(widen, args), **{key: widen(value) for key, value in (kwargs or {}).items()})


def build(config, dtype):
    settings = copy.deepcopy(config)  # Transformers completes rope_scaling in place
    hf = AutoConfig.for_model(settings.pop("model_type"), **settings)
    return AutoModelForCausalLM.from_config(hf, dtype=dtype, attn_implementation="eager",
                                            experts_implementation="eager").eval()


def logits_of(config, prompt, positions, weights, dtype):
    """Transformers' logits [positions, vocab], computed in `dtype`, and the mean over queries and heads
    of the largest attention probability, in the layer where that mean is largest."""
    model = build(config, dtype)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    assert not missing or config["tie_word_embeddings"]
    with torch.no_grad():
        result = model(torch.tensor([prompt]), use_cache=False, output_attentions=True)
    peaks = [float(a[0].max(-1).values[:, 16:].mean()) for a in result.attentions]  # a: [1, head, q, k]
    return result.logits[0, positions].double(), max(peaks)


def distance(value, truth):
    """How far `value` is from `truth`, over all kept positions and the whole vocabulary."""
    error = (value - truth).double()
    return {"relative_l2": float(f"{error.norm() / truth.norm():.4g}"),
            "relative_max": float(f"{error.abs().max() / truth.abs().max():.4g}")}


def encoded(logits):
    return base64.b64encode(logits.numpy().astype("<f4").tobytes()).decode()


def reference(name):
    """The table of one case, as a dict that becomes its JSON file."""
    about, _, config = CASES[name]
    seed, prompt, positions = prompt_of(name)
    weights = weights_of(build(config, torch.float32), seed)
    rounded = {key: value.to(torch.bfloat16) for key, value in weights.items()}
    tables = {}
    for kind, given in (("f32", weights), ("bf16", rounded)):
        with Binary64():
            exact, _ = logits_of(config, prompt, positions, given, torch.float64)
        f32, attention = logits_of(config, prompt, positions, given, torch.float32)
        tables[kind] = {"exact": encoded(exact), "transformers_f32": encoded(f32),
                        "f32_from_exact": distance(f32, exact)}
        largest = float(f32.abs().max())
    bf16, _ = logits_of(config, prompt, positions, rounded, torch.bfloat16)
    tables["bf16"]["bf16_from_f32"] = distance(bf16, f32)
    near, far = tables["f32"]["f32_from_exact"], tables["bf16"]["bf16_from_f32"]
    print(f"{name:28} f32 from exact {near['relative_l2']:.1e} (max {near['relative_max']:.1e}), "
          f"bf16 from f32 {far['relative_l2']:.1e} (max {far['relative_max']:.1e}), "
          f"logits up to {largest:.1f}, attention peak {attention:.2f}", flush=True)
    assert 1 < largest < 40 and attention < 0.8, "a degenerate model"
    return {"case": name, "about": about, "config": config, "seed": seed, "prompt": prompt,
            "positions": positions} | tables


def write(name, directory):
    """One key per line; nested values on that line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in reference(name).items()]
    (directory / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def export(name, directory, dtype, shards, stacked):
    """The case as a Hugging Face checkpoint: one file, or `shards` files with an index. `stacked`: experts as
    Transformers 5 has them in memory, not one by one."""
    config = dict(CASES[name][2])
    config["dtype" if "dtype" in config else "torch_dtype"] = str(DTYPES[dtype]).removeprefix("torch.")
    model = build(config, torch.float32)
    weights = weights_of(model, prompt_of(name)[0])
    if not stacked:
        weights = as_checkpoint(model, weights)
    weights = {key: value.to(DTYPES[dtype]) for key, value in weights.items()}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if shards == 1:
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(weights)
    if not 1 < shards <= len(names):
        raise SystemExit(f"--shards must be 1 to {len(names)} for this case")
    where = {key: f"model-{i * shards // len(names) + 1:05}-of-{shards:05}.safetensors"
             for i, key in enumerate(names)}
    for file in sorted(set(where.values())):
        save_file({key: weights[key] for key in names if where[key] == file}, directory / file,
                  metadata={"format": "pt"})
    size = sum(value.nbytes for value in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--list", action="store_true", help="show the cases")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the tables")
    parser.add_argument("--export", nargs=2, metavar=("NAME", "DIR"))
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="of --export")
    parser.add_argument("--shards", type=int, default=1, help="files of --export")
    parser.add_argument("--stacked", action="store_true", help="--export: experts stacked and fused")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.list:
        for name, (about, length, _) in CASES.items():
            print(f"{name:28} {length:3} tokens: {about}")
    elif args.export:
        if args.export[0] not in CASES:
            parser.error(f"no case {args.export[0]}; --list shows them")
        export(args.export[0], Path(args.export[1]), args.dtype, args.shards, args.stacked)
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        for name in args.case:
            write(name, args.out)


if __name__ == "__main__":
    main()
