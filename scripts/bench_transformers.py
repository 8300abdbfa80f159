#!/usr/bin/env python3
"""Times PyTorch and Transformers at the shapes that `weft bench` times: bench_transformers.py CONFIG.

Random bf16 weights. Prints the matmul rate, decode of one token with a static cache (plain, and with
torch.compile where that works), and prefill. Each part goes on when the one before has failed.
"""

import statistics
import sys
import time

import torch
import transformers


def median_ms(call, runs=20, warm=3):
    for _ in range(warm):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(runs):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def part(name, body):
    begin = time.time()
    try:
        body()
    except Exception as error:  # what a library cannot do must not hide what the others can
        print(f"{name}: failed: {type(error).__name__}: {str(error)[:300]}")
    print(f"  ({name} took {time.time() - begin:.0f} s)", flush=True)


@torch.inference_mode()
def main():
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"{torch.cuda.get_device_name()}")

    def matmul():
        a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
        b = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
        ms = median_ms(lambda: a @ b)
        print(f"matmul 8192: {2 * 8192**3 / ms / 1e9:.0f} TFLOP/s")
        source = torch.empty(2**31, device="cuda", dtype=torch.uint8)
        target = torch.empty_like(source)
        ms = median_ms(lambda: target.copy_(source))
        print(f"copy: {2 * source.numel() / ms / 1e9:.2f} TB/s read and written")

    part("limits", matmul)
    config = transformers.AutoConfig.from_pretrained(sys.argv[1])
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    length = 1024

    def decode(forward, batch):
        cache = transformers.StaticCache(config=model.config, max_cache_len=length)
        prompt = torch.randint(0, config.vocab_size, (batch, 128), device="cuda")
        model(prompt, past_key_values=cache, cache_position=torch.arange(128, device="cuda"))
        token = torch.randint(0, config.vocab_size, (batch, 1), device="cuda")
        position = torch.tensor([128], device="cuda")
        return median_ms(lambda: forward(token, past_key_values=cache, cache_position=position))

    def prefill(rows):
        tokens = torch.randint(0, config.vocab_size, (1, rows), device="cuda")
        ms = median_ms(lambda: model(tokens, logits_to_keep=1), runs=5)
        print(f"prefill {rows}: {ms:.2f} ms, {rows / ms * 1e3:.0f} tok/s")

    for batch in (1, 16, 128):
        part(f"decode {batch}", lambda: print(
            f"decode {batch} x 1 behind 128: {decode(model, batch):.2f} ms (static cache)"))
    for rows in (512, 4096, 8192):
        part(f"prefill {rows}", lambda: prefill(rows))

    def compiled():
        forward = torch.compile(model, mode="reduce-overhead", fullgraph=True)
        print(f"decode 1 x 1 behind 128: {decode(forward, 1):.2f} ms (static cache, compiled)")

    part("compiled decode", compiled)


main()
