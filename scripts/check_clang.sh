#!/usr/bin/env bash
# Builds the program with clang, warnings as errors, and runs a job on two ranks: its digests are
# those of any other build. Installs what is missing when root on Debian.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/short_job.sh

weft_install weft_needs weft_clang_needs
weft_targets=weft weft_build build-clang -DWEFT_WERROR=ON -DWEFT_TESTS=OFF -DWEFT_CUDA=OFF -DWEFT_UNITY=ON \
  -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++
weft_short_job build-clang/bin/weft build-clang/job 1
if [ -x build/bin/weft ]; then
  weft_short_job build/bin/weft build-clang/other 1
  cmp build-clang/job/out/results.jsonl build-clang/other/out/results.jsonl
  echo "the results are those of build/bin/weft, byte for byte"
fi
