#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the "adder": a very small decoder of the Qwen3 architecture that adds two numbers.

The model reads a prompt such as "417+385=" and answers "802" followed by the end-of-text token.
It is small enough to live in the source tree and to be trained on one CPU core, yet it is a real
trained model: a wrong kernel or rotary layout or tensor-parallel split shows up as wrong sums.

Written: OUT/ (config.json, generation_config.json, tokenizer.json, tokenizer_config.json and
model.safetensors in bf16), OUT_prompts.jsonl (1,000 held-out requests in OpenAI batch format) and
OUT_answers.jsonl (the right answer for each custom_id).

  python3 scripts/train_adder.py --out data/adder           train and export
  python3 scripts/train_adder.py --out data/adder --check   compare the export with transformers

Needs torch, tokenizers and safetensors, and transformers for --check.
"""
import argparse
import copy
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
EOT = 377  # id of <|endoftext|>: it follows 256 single bytes and 121 merges
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")  # each digit is a piece of its own
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
    "vocab_size": EOT + len(SPECIALS), "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 16, "hidden_act": "silu",
    "max_position_embeddings": 2048, "rope_theta": 10000.0, "rope_scaling": None, "rms_norm_eps": 1e-6,
    "initializer_range": 0.02, "attention_bias": False, "attention_dropout": 0.0, "use_sliding_window": False,
    "sliding_window": None, "max_window_layers": 3, "tie_word_embeddings": True, "use_cache": True,
    "bos_token_id": EOT, "eos_token_id": EOT, "pad_token_id": EOT,
    "torch_dtype": "bfloat16", "transformers_version": "4.51.0"}
ROW = 13  # the longest example: 3 digits, '+', 3 digits, '=', 4 digits, end of text


# ---- model (module names give the parameter names of the Hugging Face checkpoint) ----

def rotate(x, cos, sin):
    """Rotary embedding in the half-split layout: element i is paired with i + head_dim/2."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Block(nn.Module):
    """Causal grouped-query attention with normalised query and key heads, then a SwiGLU MLP."""

    def __init__(self, c):
        super().__init__()
        self.d, wide, mid = c["head_dim"], c["hidden_size"], c["intermediate_size"]
        q_size, kv_size = c["num_attention_heads"] * self.d, c["num_key_value_heads"] * self.d
        norm, linear = lambda n: nn.RMSNorm(n, c["rms_norm_eps"]), lambda i, o: nn.Linear(i, o, bias=False)
        self.input_layernorm, self.post_attention_layernorm = norm(wide), norm(wide)
        self.self_attn = nn.ModuleDict({
            "q_proj": linear(wide, q_size), "k_proj": linear(wide, kv_size), "v_proj": linear(wide, kv_size),
            "o_proj": linear(q_size, wide), "q_norm": norm(self.d), "k_norm": norm(self.d)})
        self.mlp = nn.ModuleDict({
            "gate_proj": linear(wide, mid), "up_proj": linear(wide, mid), "down_proj": linear(mid, wide)})

    def forward(self, x, cos, sin):
        m, y = self.self_attn, self.input_layernorm(x)
        q, k, v = (m[n](y).unflatten(-1, (-1, self.d)) for n in ("q_proj", "k_proj", "v_proj"))
        q, k, v = rotate(m.q_norm(q), cos, sin), rotate(m.k_norm(k), cos, sin), v
        k, v = (t.repeat_interleave(q.shape[2] // k.shape[2], 2) for t in (k, v))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + m.o_proj(y.transpose(1, 2).flatten(2))
        m, y = self.mlp, self.post_attention_layernorm(x)
        return x + m.down_proj(F.silu(m.gate_proj(y)) * m.up_proj(y))


class Adder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.model = nn.ModuleDict({
            "embed_tokens": nn.Embedding(c["vocab_size"], c["hidden_size"]),
            "layers": nn.ModuleList(Block(c) for _ in range(c["num_hidden_layers"])),
            "norm": nn.RMSNorm(c["hidden_size"], c["rms_norm_eps"])})
        self.freq = c["rope_theta"] ** (-torch.arange(0, c["head_dim"], 2) / c["head_dim"])
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=0.05 / math.sqrt(2 * c["num_hidden_layers"]) if last else 0.05)

    def forward(self, ids, keep=...):
        """Logits of every position, or of those that the boolean mask `keep` chooses."""
        x = self.model.embed_tokens(ids)
        angle = torch.arange(ids.shape[1])[:, None] * self.freq
        cos, sin = (torch.cat((t, t), -1)[:, None].to(x.dtype) for t in (angle.cos(), angle.sin()))
        for layer in self.model["layers"]:
            x = layer(x, cos, sin)
        return F.linear(self.model.norm(x)[keep], self.model.embed_tokens.weight)


# ---- tokenizer ----

def corpus(rng):
    """Plain sentences about sums, used for nothing but to learn the merges."""
    names = "Ada Ben Clara Dov Emma Farid Greta Hugo Ines Jonas".split()
    things = "apples books coins stamps marbles pencils tickets shells".split()
    forms = ["{n} has {a} {t} and {m} gives {n} {b} more, so now {n} has {c} {t}.\n",
             "What is {a} plus {b}? The answer is {c}.\n", "The sum of {a} and {b} is {c}.\n",
             "If you add {a} to {b}, the total is {c}.\n", "Please add the numbers {a} and {b}.\n",
             "{a} + {b} = {c}\n", "user: how much is {a} and {b} together?\nassistant: it is {c}.\n"]
    for _ in range(4000):
        a, b = rng.randrange(1000), rng.randrange(1000)
        n, m, t = rng.choice(names), rng.choice(names), rng.choice(things)
        yield rng.choice(forms).format(a=a, b=b, c=a + b, n=n, m=m, t=t)


def make_tokenizer(seed):
    """A byte-level BPE tokenizer of the kind Qwen models use, with a small vocabulary."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tok.train_from_iterator(corpus(random.Random(seed)), trainers.BpeTrainer(
        vocab_size=EOT, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.add_special_tokens(SPECIALS)
    assert tok.token_to_id(SPECIALS[0]) == EOT and tok.get_vocab_size() == CONFIG["vocab_size"]
    return tok


# ---- data ----

def number(rng):
    """A number of one, two or three digits; short ones are rarer, as there are fewer of them."""
    return rng.randrange(*rng.choices([(0, 10), (10, 100), (100, 1000)], [10, 25, 65])[0])


def hold_out(rng, count):
    """`count` different pairs, no one the swap of another."""
    pairs = {}
    while len(pairs) < count:
        a, b = number(rng), number(rng)
        pairs.setdefault((min(a, b), max(a, b)), (a, b))
    return list(pairs.values())


def encode(tok, pairs):
    """Padded input rows, the mask of the positions that predict the answer, and the targets."""
    ids, mask = [], []
    for a, b in pairs:
        prompt, answer = tok.encode(f"{a}+{b}=").ids, tok.encode(str(a + b)).ids + [EOT]
        fill = ROW - len(prompt) - len(answer)
        ids.append(prompt + answer + [EOT] * fill)
        mask.append([False] * (len(prompt) - 1) + [True] * len(answer) + [False] * fill)
    ids = torch.tensor(ids)
    return ids[:, :-1], torch.tensor(mask), ids[:, 1:]


# ---- training ----

@torch.no_grad()
def accuracy(net, tok, pairs, dtype):
    """Exact-match rate of greedy decoding with bf16 weights and arithmetic in `dtype`. One pass is
    enough: the whole answer comes out if and only if each token is the argmax after the right ones."""
    ids, mask, target = encode(tok, pairs)
    logits = copy.deepcopy(net).to(torch.bfloat16).to(dtype)(ids)
    return 1 - ((logits.argmax(-1) != target) & mask).any(1).float().mean().item()


def train(args, tok, held_out):
    """AdamW with warm-up and cosine decay, for a set number of steps. The held-out pairs, which are
    left out of training in either order, are measured as it goes along but steer nothing."""
    rng, net, start = random.Random(args.seed), Adder(CONFIG), time.time()
    banned = set(held_out) | {(b, a) for a, b in held_out}
    opt = torch.optim.AdamW(net.parameters(), betas=(0.9, 0.98), weight_decay=0.1)
    for step in range(1, args.steps + 1):
        opt.param_groups[0]["lr"] = args.lr * min(step / 200, 0.5 + 0.5 * math.cos(math.pi * step / args.steps))
        batch = [(number(rng), number(rng)) for _ in range(args.batch)]
        ids, mask, target = encode(tok, [p for p in batch if p not in banned])
        loss = F.cross_entropy(net(ids, mask), target[mask])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        if step % 250 == 0:
            score = accuracy(net, tok, held_out, torch.bfloat16)
            print(f"step {step:5d}  loss {loss:.5f}  held-out {score:.3f}  {time.time() - start:.0f} s", flush=True)
    return net


# ---- export and check ----

def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_model_files(out, tok):
    """Everything in the model directory but the weights."""
    out.mkdir(parents=True, exist_ok=True)
    tok.save(str(out / "tokenizer.json"))
    write_json(out / "config.json", CONFIG)
    write_json(out / "generation_config.json", {
        "bos_token_id": EOT, "eos_token_id": [EOT, EOT + 2], "pad_token_id": EOT, "do_sample": False,
        "transformers_version": CONFIG["transformers_version"]})
    write_json(out / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False, "add_bos_token": False,
        "added_tokens_decoder": {str(EOT + i): {
            "content": s, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": True} for i, s in enumerate(SPECIALS)},
        "bos_token": None, "eos_token": SPECIALS[0], "pad_token": SPECIALS[0], "unk_token": None,
        "additional_special_tokens": SPECIALS[1:], "clean_up_tokenization_spaces": False,
        "model_max_length": CONFIG["max_position_embeddings"], "chat_template": CHAT_TEMPLATE})


def write_prompts(out, pairs):
    """The held-out set as a batch file and an answer file, next to the model directory."""
    def write(suffix, make):
        rows = ({"custom_id": f"add-{i:04d}", **make(a, b)} for i, (a, b) in enumerate(pairs, 1))
        text = "".join(json.dumps(r, separators=(",", ":")) + "\n" for r in rows)
        out.with_name(out.name + suffix).write_text(text, encoding="utf-8")

    write("_answers.jsonl", lambda a, b: {"answer": str(a + b)})
    write("_prompts.jsonl", lambda a, b: {"method": "POST", "url": "/v1/completions", "body": {
        "model": "adder", "prompt": f"{a}+{b}=", "max_tokens": 8, "temperature": 0}})


def check(out, net, tok, pairs):
    """Compare with transformers: the logits that give the answers (equal in f32 but for the order of
    additions), then token-by-token decoding of every held-out prompt."""
    from transformers import AutoTokenizer, Qwen3ForCausalLM
    hf_tok, (ids, mask, _) = AutoTokenizer.from_pretrained(out), encode(tok, pairs)
    for dtype in (torch.float32, torch.bfloat16):
        hf, right = Qwen3ForCausalLM.from_pretrained(out, dtype=dtype).eval(), 0
        with torch.no_grad():
            gap = (hf(ids).logits[mask] - copy.deepcopy(net).to(dtype)(ids, mask)).abs().max().item()
        for size in {len(f"{a}+{b}=") for a, b in pairs}:  # prompts of one length need no padding
            group = [(a, b) for a, b in pairs if len(f"{a}+{b}=") == size]
            made = hf.generate(**hf_tok([f"{a}+{b}=" for a, b in group], return_tensors="pt"), max_new_tokens=8)
            texts = hf_tok.batch_decode(made[:, size:], skip_special_tokens=True)
            right += sum(t == str(a + b) for t, (a, b) in zip(texts, group))
        print(f"transformers, {dtype}: largest logit difference {gap:.1e}, {right} of {len(pairs)} sums right")
        assert dtype != torch.float32 or gap < 1e-3


def main():
    ap = argparse.ArgumentParser(description="train and export the adder model")
    ap.add_argument("--out", type=Path, default=Path("data/adder"), help="model directory")
    ap.add_argument("--check", action="store_true", help="do not train; compare --out with transformers")
    ap.add_argument("--seed", type=int, default=1, help="of the data split, the data and the weights")
    ap.add_argument("--steps", type=int, default=3000)
    ap.add_argument("--batch", type=int, default=384)
    ap.add_argument("--lr", type=float, default=3e-3, help="highest learning rate")
    args = ap.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)  # one thread also makes a run repeatable

    held_out = hold_out(random.Random(args.seed + 1000), 1000)
    weights = args.out / "model.safetensors"
    if args.check:
        tok = Tokenizer.from_file(str(args.out / "tokenizer.json"))
    else:
        tok = make_tokenizer(args.seed)
        write_model_files(args.out, tok)
        write_prompts(args.out, held_out)
        net = train(args, tok, held_out)
        save_file({k: v.to(torch.bfloat16) for k, v in net.state_dict().items()}, weights, {"format": "pt"})
        weights.chmod(0o644)
    net = Adder(CONFIG)
    net.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
    print(f"{sum(p.numel() for p in net.parameters())} parameters; held-out exact match:",
          ", ".join(f"{accuracy(net, tok, held_out, t):.4f} in {t}" for t in (torch.float32, torch.bfloat16)))
    if args.check:
        check(args.out, net, tok, held_out)


if __name__ == "__main__":
    main()
