#!/usr/bin/env bash
# Installs what is missing, builds, and classifies handwritten digits with a program that PyTorch exported.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install_packages.sh build
cmake --preset release -DREPRISE_TESTS=OFF >/dev/null
cmake --build --preset release --target digits reprise_cli
build/release/examples/digits/digits examples/digits
