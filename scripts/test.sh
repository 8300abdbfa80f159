#!/usr/bin/env bash
# Installs what is missing (as root on Debian), builds, and runs the tests.
#
#   scripts/test.sh                            the fast ones: each promise once
#   scripts/test.sh --all [CTEST-ARGUMENTS…]   all of them
#   scripts/test.sh CTEST-ARGUMENTS…           those asked for, such as: scripts/test.sh -R unit
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

build=${WEFT_BUILD:-build}
what=(-L fast)
targets="weft weft_unit_tests weft_mpi_tests weft_emulation_tests weft_nccl_tests"
if [ "${1:-}" = --all ]; then
  shift
  what=()
  targets="all weft_headers"
elif [ $# -gt 0 ]; then
  what=()
fi

weft_install weft_needs weft_test_needs
weft_targets=$targets weft_build "$build" -DWEFT_TESTS=ON -DWEFT_UNITY=ON ${WEFT_CMAKE_FLAGS:-}
ctest --test-dir "$build" --parallel 2 --no-tests=error --output-on-failure "${what[@]}" "$@"
