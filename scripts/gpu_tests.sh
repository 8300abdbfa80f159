#!/usr/bin/env bash
# Tests, experiments and benchmarks on a machine with a GPU, from a bundle (scripts/bundle.sh).
#
#   gpu_tests.sh [OUT [PART…]]       OUT: folder of the report, default gpu-report; PARTs: default all
#
# Every part has a time limit of its own and goes on when another has failed; all together end within
# GPU_TESTS_SECONDS (570 unless set), and parts that are left then are not run. OUT/report.txt has what
# each printed, OUT/summary.txt a line for each. Exit status 1 when a part failed or was not run.
set -uo pipefail
bundle=$(cd "$(dirname "$0")" && pwd)
out=${1:-gpu-report}
mkdir -p "$out"
out=$(cd "$out" && pwd)
shift || true
wanted=" $* "
: >"$out/report.txt"
: >"$out/summary.txt"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
run=$bundle/run
failed=0
total=${GPU_TESTS_SECONDS:-570}

# part NAME SECONDS COMMAND…
part() {
  local name=$1 limit=$2 begin=$SECONDS status
  shift 2
  [ "$wanted" != "  " ] && [[ $wanted != *" $name "* ]] && return
  local left=$((total - SECONDS))
  if [ $left -lt 5 ]; then
    failed=1
    echo "$name: not run, out of time" | tee -a "$out/summary.txt" "$out/report.txt"
    return
  fi
  [ "$limit" -le $left ] || limit=$left
  { echo; echo "=== $name: $*"; } >>"$out/report.txt"
  timeout -k 5 "$limit" "$@" >"$work/log" 2>&1
  status=$?
  head -c 400000 "$work/log" >>"$out/report.txt"
  local line="$name: status $status after $((SECONDS - begin)) s"
  ! grep -q '^skipped: there is no GPU' "$work/log" || line="$line: skipped, there is no GPU"
  [ $status -eq 0 ] || { failed=1; line="$line: $(grep -v '^ *$' "$work/log" | tail -n 1 | cut -c1-200)"; }
  echo "$line" | tee -a "$out/summary.txt" "$out/report.txt"
}
mpi() { echo "$run mpirun --oversubscribe --bind-to none -n $1 $2"; }

# NCCL's and cuBLASLt's libraries, where the toolkit or PyTorch brings them.
libraries=$(python3 - <<'PY' 2>/dev/null
import importlib, os
for name in ("nvidia.nccl", "nvidia.cu13", "nvidia.cublas"):
    try:
        print(os.path.join(list(importlib.import_module(name).__path__)[0], "lib"), end=":")
    except ImportError:
        pass
PY
)
export LD_LIBRARY_PATH="$libraries/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export CUDA_MODULE_LOADING=EAGER

part query 20 nvidia-smi
part version 20 "$run" weft --version
part tests 90 "$run" weft_cuda_tests '~[layout]~[nccl]' -d yes
part variants 30 "$run" weft_cuda_lab variants
part layouts-1 45 "$run" weft_cuda_tests '[layout],[footprint]' -d yes
part graph-memory 30 "$run" weft_cuda_tests '[.graph-memory]'
part layouts-4 90 $(mpi 4 weft_cuda_tests) '[layout]'
part nccl-hostid 45 env NCCL_SOCKET_IFNAME=lo NCCL_NVLS_ENABLE=0 NCCL_MAX_CTAS=2 NCCL_DEBUG=WARN \
  $(mpi 2 bash) -c 'NCCL_HOSTID=weft-$OMPI_COMM_WORLD_RANK exec weft_cuda_tests "[.nccl]"'
part nccl-multirank 45 env NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_NVLS_ENABLE=0 NCCL_MAX_CTAS=2 \
  NCCL_DEBUG=WARN $(mpi 2 weft_cuda_tests) '[.nccl]'
part operators 90 "$run" weft_cuda_lab operators
part segments 60 "$run" weft_cuda_lab segments
part sampling 60 "$run" weft_cuda_lab sampling
part sanitizer 75 "$run" compute-sanitizer --error-exitcode 9 weft_cuda_tests \
  '[linear],[attention],[norm],[experts],[sampling]~[layout]~[footprint]'

# A whole model of Qwen3-4B's shape, a third of its layers, so that making it fits the time.
model() {
  python3 "$bundle/gpu_model.py" qwen3-4b config.json 12 &&
    "$run" weft synth config.json model &&
    "$run" weft bench model --long &&
    "$run" weft bench model --no-graphs &&
    "$run" weft generate model --ids 1,2,3 --max-tokens 8
}
# Steps that are launched before the tokens of the one before are known, and steps that wait for them.
ahead() { "$run" weft bench model --runs 1 --parts && "$run" weft bench model --runs 1 --parts --no-async-scheduling; }
# Four of Qwen3-30B-A3B's 48 layers, with CUDA graphs and without.
experts() {
  python3 "$bundle/gpu_model.py" qwen3-30b-a3b experts.json 4 &&
    "$run" weft synth experts.json experts &&
    "$run" weft bench experts --long &&
    "$run" weft bench experts --no-graphs
}
export -f model ahead experts
export run bundle
part model 130 bash -c model
part ahead 60 bash -c ahead
part experts 100 bash -c experts
mkdir -p peer && python3 "$bundle/gpu_model.py" qwen3-4b peer/config.json 12
part transformers 100 python3 "$bundle/bench_transformers.py" peer
echo "report: $out/report.txt"
exit $failed
