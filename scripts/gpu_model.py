#!/usr/bin/env python3
"""Writes a config.json of a real model's shape, for random weights: gpu_model.py NAME FILE [LAYERS]."""

import json
import sys

COMMON = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 151936,
    "head_dim": 128,
    "num_key_value_heads": 8,
    "hidden_act": "silu",
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "eos_token_id": 151645,
    "torch_dtype": "bfloat16",
}
SHAPES = {
    "qwen3-0.6b": (1024, 3072, 28, 16, True),
    "qwen3-4b": (2560, 9728, 36, 32, True),
    "qwen3-8b": (4096, 12288, 36, 32, False),
    "qwen3-30b-a3b": (2048, 6144, 48, 32, False),
}
EXPERTS = {
    "qwen3-30b-a3b": {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "num_key_value_heads": 4,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
    },
}


def main():
    name, path = sys.argv[1:3]
    hidden, ffn, layers, heads, tied = SHAPES[name]
    if len(sys.argv) > 3:
        layers = int(sys.argv[3])
    config = dict(COMMON, hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers,
                  num_attention_heads=heads, tie_word_embeddings=tied)
    config.update(EXPERTS.get(name, {}))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)


main()
