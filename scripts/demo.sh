#!/usr/bin/env bash
# The main job on the embedded default: installs what is missing (as root on Debian), builds, and
# runs 1,000 additions through the small model in data/ on two CPU ranks.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

build=${WEFT_BUILD:-build}
ranks=${WEFT_RANKS:-2}

weft_install weft_needs
weft_targets=weft weft_build "$build" -DWEFT_TESTS=OFF -DWEFT_UNITY=ON
weft=$build/bin/weft

mkdir -p run
rm -rf run/adder run/adder-model
"$weft" convert data/adder run/adder-model
echo
weft_mpirun -n "$ranks" "$weft" run configs/adder.yaml --set parallel.tp="$ranks"
echo
scripts/check_adder.py run/adder/results.jsonl data/adder_answers.jsonl
