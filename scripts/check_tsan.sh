#!/usr/bin/env bash
# Builds the program with ThreadSanitizer and runs a short job on two ranks: any data race of ours
# fails. tests/tsan.supp names the libraries that are not built with it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/short_job.sh

weft_install weft_needs
weft_targets=weft weft_build build-tsan -DWEFT_TESTS=OFF -DWEFT_CUDA=OFF -DWEFT_UNITY=ON -DWEFT_SANITIZE=thread \
  -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1"
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp exitcode=66 ignore_noninstrumented_modules=1 ${TSAN_OPTIONS:-}"
weft_short_job build-tsan/bin/weft build-tsan/job 1
