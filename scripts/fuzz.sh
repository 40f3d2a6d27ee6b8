#!/usr/bin/env bash
# Builds the fuzz targets (preset asan) and runs them, two at a time: scripts/fuzz.sh [SECONDS each, default 30] [TARGET…]. New inputs are kept in
# build/fuzz/corpus/; an input that breaks a target is left in build/fuzz/findings/ and fails the script.
#
# scripts/fuzz.sh coverage: which lines of the parsers the seeds and the kept inputs reach.
set -euo pipefail
cd "$(dirname "$0")/.."
parsers='src/(base/(zip|json|text)|sym/text|import/pt2/[a-z_]+|tensor/npz|plan/(rpz|json_read|verify))\.cpp'

programs=build/asan/tests/fuzz
targets=$(cd tests/fuzz/seeds && echo *)

coverage() {
  local build=build/fuzz-coverage
  cmake --preset asan -B $build -DREPRISE_SANITIZE= -DREPRISE_TESTS=OFF -DCMAKE_CXX_FLAGS='-fprofile-instr-generate -fcoverage-mapping' >/dev/null
  cmake --build $build --target $(printf 'fuzz_%s ' $targets)
  local profiles=() objects=()
  for target in $targets; do
    mkdir -p "build/fuzz/corpus/$target"
    LLVM_PROFILE_FILE="$build/$target.profraw" "$build/tests/fuzz/fuzz_$target" -runs=0 "build/fuzz/corpus/$target" "tests/fuzz/seeds/$target" >/dev/null 2>&1
    profiles+=("$build/$target.profraw") objects+=(-object "$build/tests/fuzz/fuzz_$target")
  done
  llvm-profdata merge -o $build/all.profdata "${profiles[@]}"
  llvm-cov export "${objects[@]}" -instr-profile $build/all.profdata -summary-only |
    python3 -c '
import json, re, sys
rows = [(re.sub(".*/src/", "src/", f["filename"]), f["summary"]["lines"]) for f in json.load(sys.stdin)["data"][0]["files"]]
rows = [(name, lines) for name, lines in rows if re.fullmatch(sys.argv[1], name)]
for name, lines in sorted(rows):
    print("%5d of %5d lines %5.1f %%  %s" % (lines["covered"], lines["count"], lines["percent"], name))
covered, count = (sum(lines[k] for _, lines in rows) for k in ("covered", "count"))
print("%5d of %5d lines %5.1f %%  together" % (covered, count, 100 * covered / count))' "$parsers"
}

fuzz() { # TARGET SECONDS
  local target=$1 log="build/fuzz/$1.log"
  local options=(-max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="build/fuzz/findings/$target-" -print_final_stats=1)
  mkdir -p "build/fuzz/corpus/$target"
  [ ! -f "tests/fuzz/dictionaries/$target" ] || options+=(-dict="tests/fuzz/dictionaries/$target")
  if "$programs/fuzz_$target" "${options[@]}" "build/fuzz/corpus/$target" "tests/fuzz/seeds/$target" >"$log" 2>&1; then
    echo "$target: $(grep -oE 'number_of_executed_units: *[0-9]+' "$log" | grep -oE '[0-9]+$') inputs, no finding"
  else
    echo "$target: broken; see $log and build/fuzz/findings/"
    grep -E 'ERROR|SUMMARY|Test unit written' "$log" || tail -n 5 "$log"
    return 1
  fi
}

if [ "${1:-}" = coverage ]; then
  coverage
  exit
fi

seconds=${1:-30}
shift || true
cmake --preset asan >/dev/null
cmake --build --preset asan --target $(printf 'fuzz_%s ' ${*:-$targets})
mkdir -p build/fuzz/findings
export -f fuzz
export programs
printf '%s\n' ${*:-$targets} | xargs -P 2 -I{} bash -c 'fuzz "$1" "$2"' fuzz {} "$seconds"
