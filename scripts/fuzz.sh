#!/usr/bin/env bash
# Builds the fuzz targets and runs each of them: scripts/fuzz.sh [SECONDS each, default 30] [TARGET…]. New inputs are kept in build/fuzz/corpus/; an input that
# breaks a target is left in build/fuzz/findings/ and fails the script.
#
# scripts/fuzz.sh coverage: which lines of the parsers the seeds and the kept inputs reach.
set -euo pipefail
cd "$(dirname "$0")/.."
parsers='src/(base/(zip|json|text)|sym/text|import/pt2/[a-z_]+|tensor/npz|plan/(rpz|json_read|verify))\.cpp'

targets_in() { find "$1/tests/fuzz" -maxdepth 1 -type f -name 'fuzz_*' -perm -u+x -printf '%f\n' | sed 's/^fuzz_//' | sort; }

coverage() {
  local build=build/fuzz-coverage
  cmake --preset fuzz -B $build -DREPRISE_SANITIZE= -DCMAKE_CXX_FLAGS='-fprofile-instr-generate -fcoverage-mapping' >/dev/null
  cmake --build $build --target $(cd tests/fuzz/seeds && printf 'fuzz_%s ' *)
  local profiles=() objects=()
  for target in $(targets_in $build); do
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

if [ "${1:-}" = coverage ]; then
  coverage
  exit
fi

seconds=${1:-30}
shift || true
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
mkdir -p build/fuzz/findings
status=0
for target in ${*:-$(targets_in build/fuzz)}; do
  mkdir -p "build/fuzz/corpus/$target"
  options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="build/fuzz/findings/$target-" -print_final_stats=1)
  [ ! -f "tests/fuzz/dictionaries/$target" ] || options+=(-dict="tests/fuzz/dictionaries/$target")
  if "build/fuzz/tests/fuzz/fuzz_$target" "${options[@]}" "build/fuzz/corpus/$target" "tests/fuzz/seeds/$target" >"build/fuzz/$target.log" 2>&1; then
    echo "$target: $(grep -oE 'number_of_executed_units: *[0-9]+' "build/fuzz/$target.log" | grep -oE '[0-9]+$') inputs, no finding"
  else
    echo "$target: broken; see build/fuzz/$target.log and build/fuzz/findings/"
    grep -E 'ERROR|SUMMARY|Test unit written' "build/fuzz/$target.log" || tail -n 5 "build/fuzz/$target.log"
    status=1
  fi
done
exit $status
