# Sourced by the checks of other builds, after packages.sh: a short job on two ranks.
#
# weft_short_job PROGRAM FOLDER THREADS — 100 additions with tp = 2; results in FOLDER/out, which must
# be right. Quiet.
weft_short_job() {
  local program=$1 folder=$2 threads=$3
  rm -rf "$folder"
  mkdir -p "$folder"
  "$program" convert -q data/adder "$folder/model"
  head -n 100 data/adder_prompts.jsonl >"$folder/prompts.jsonl"
  head -n 100 data/adder_answers.jsonl >"$folder/answers.jsonl"
  printf 'model: model\ninput:\n  file: prompts.jsonl\noutput:\n  dir: out\n  digest: true\n' \
    >"$folder/job.yaml"
  weft_mpirun -n 2 "$program" run -q -j "$threads" "$folder/job.yaml" --set parallel.tp=2 \
    --set engine.device=cpu
  scripts/check_adder.py "$folder/out/results.jsonl" "$folder/answers.jsonl"
}
