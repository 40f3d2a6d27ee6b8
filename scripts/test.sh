#!/usr/bin/env bash
# Installs what is missing, builds and passes the tests: test.sh [preset] [ctest arguments…]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-ci}
[ $# -gt 0 ] && shift
scripts/install_packages.sh build
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "$@"
