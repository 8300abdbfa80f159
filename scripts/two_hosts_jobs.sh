#!/usr/bin/env bash
# Runs one job with every parallel axis over two hosts (see two_hosts.sh) and compares the bytes of
# its results with those of one rank alone. Needs root, iproute2 and a built program.
#
#   scripts/two_hosts_jobs.sh [WEFT]         WEFT: the program, build/bin/weft unless given
set -euo pipefail
cd "$(dirname "$0")/.."
weft=$(realpath "${1:-build/bin/weft}")
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

# The shape of a model with experts, in the adder's vocabulary and with its tokenizer.
cp data/adder/tokenizer*.json "$here"
cat > "$here/config.json" <<'JSON'
{"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": 380,
 "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 8,
 "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu", "max_position_embeddings": 2048,
 "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": 377,
 "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "norm_topk_prob": true}
JSON
"$weft" synth "$here/config.json" "$here/model" > "$here/log"
head -n 40 data/adder_prompts.jsonl > "$here/prompts.jsonl"
cat > "$here/job.yaml" <<YAML
model: $here/model
input: {file: $here/prompts.jsonl}
sampling: {temperature: 0.8, seed: 5}
output: {dir: $here/alone, digest: true}
YAML
"$weft" run "$here/job.yaml" >> "$here/log"

failed=0
# Ranks, then the axes. Half of the ranks run on each host.
while read -r ranks axes; do
  out=$here/out-${axes// /-}
  settings=()
  for axis in $axes; do settings+=(--set "parallel.$axis"); done
  if scripts/two_hosts.sh "$ranks" "$weft" run "$here/job.yaml" --set "output.dir=$out" \
    "${settings[@]}" < /dev/null > "$here/log" 2>&1 && cmp -s "$out/results.jsonl" "$here/alone/results.jsonl"
  then
    echo "same bytes: $axes"
  else
    echo "DIFFERS or failed: $axes"
    tail -n 5 "$here/log"
    failed=1
  fi
done <<'LAYOUTS'
2 tp=2
2 pp=2
2 sp=2
2 tp=2 ep=2
2 dp=2
4 tp=4
4 tp=2 pp=2
4 tp=2 sp=2 ep=4
4 sp=4 ep=2
4 tp=2 dp=2
4 pp=2 dp=2
4 sp=2 ep=2 dp=2
8 tp=2 pp=2 sp=2 ep=4
8 tp=2 sp=2 ep=4 dp=2
LAYOUTS
exit $failed
