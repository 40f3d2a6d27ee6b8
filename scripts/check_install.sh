#!/usr/bin/env bash
# Installs a build and builds outside projects against it, one program per library and the example of custom ops: check_install.sh BUILD_FOLDER
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >/dev/null
cmake -S "$root/tests/install" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null
model=$root/tests/models/generations/torch-2.13.0
"$work/build/compile_module" "$model/convnet.pt2" "$work/convnet.rpz"
"$work/build/run_module" "$work/convnet.rpz" "$model/convnet.inputs.npz"
"$work/prefix/bin/reprise" --version >/dev/null
cmake -S "$root/examples/custom_ops" -B "$work/custom_ops" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$work/custom_ops" >/dev/null
(cd "$work" && custom_ops/custom_ops "$root/examples/custom_ops")
if nm -C "$work/build/run_module" | grep -qE ' [TtWw] reprise::(ir|ops|import|passes|partition|lower)::'; then
  echo "a program that only loads modules carries the compiler"
  exit 1
fi
echo "install: an outside project builds and runs"
