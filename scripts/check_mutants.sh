#!/usr/bin/env bash
# Each patch in tests/runtime/mutants breaks the runtime in one way. Applies one after the other to this tree, builds test_runtime (and the program that its line
# `Binary:` names) and shows that the test that the patch names fails, and the model checker too: on the CPU, or on GPUs that are none. Restores the tree.
# Usage: check_mutants.sh BUILD_DIR [PATCH…]
set -euo pipefail
build=$(realpath "${1:?usage: check_mutants.sh BUILD_DIR [PATCH…]}")
shift
cd "$(dirname "$0")/.."
patches=("$@")
[ ${#patches[@]} -gt 0 ] || patches=(tests/runtime/mutants/*.patch)
applied=
undo() {
  if [ -n "$applied" ]; then git apply -R "$applied"; fi
  applied=
}
trap undo EXIT
# TEST BINARY [VARIABLE=VALUE…]
run() { env "${@:3}" bash -c '"$0" --gtest_brief=1 --gtest_filter="$1"; exit $?' "$build/tests/$2" "$1" > /dev/null 2>&1; }

missed=0
for patch in "${patches[@]}"; do
  test=$(sed -n 's/^Test: //p' "$patch")
  binary=$(sed -n 's/^Binary: //p' "$patch")
  binary=${binary:-test_runtime}
  git apply "$patch"
  applied=$patch
  if ! ninja -C "$build" test_runtime reprise_fake_gpus "$binary" > "$build/mutant.log" 2>&1; then
    echo "BROKEN $(basename "$patch" .patch): it does not compile"
    grep -m 3 error "$build/mutant.log" || true
    missed=1
    undo
    continue
  fi
  checker="found"
  if run 'Modes/ModeChecker.*' test_runtime; then
    checker="found on fake GPUs"
    if run 'Modes/ModeChecker.*' test_runtime REPRISE_CUDA_LIBRARY="$build/tests/libreprise_fake_gpus.so" REPRISE_TEST_DEVICE=cuda:1 REPRISE_CHECKER_STEPS=10000; then
      checker="NOT FOUND"
      missed=1
    fi
  fi
  named=caught
  if run "$test" "$binary"; then
    named=MISSED
    missed=1
  fi
  echo "$named $(basename "$patch" .patch): $test (model checker: $checker)"
  undo
done
exit $missed
