#!/usr/bin/env bash
# Installs what is missing (as root on Debian), builds everything and runs the tests.
#
#   scripts/test.sh [CTEST-ARGUMENTS…]      such as: scripts/test.sh -R unit
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

build=${WEFT_BUILD:-build}

weft_install weft_needs weft_test_needs
weft_build "$build" -DWEFT_TESTS=ON ${WEFT_CMAKE_FLAGS:-}
cmake --build "$build" --parallel "$(nproc)" --target weft_headers
ctest --test-dir "$build" --no-tests=error --output-on-failure "$@"
