#!/bin/bash
# What needs a GPU: gpu_check.sh [BUILD_FOLDER] runs the tests that are in the folder (a build, or the programs of one copied side by side) on REPRISE_TEST_DEVICE
# (cuda:0), the small ones again under compute-sanitizer, and benchmarks of MODELS (the .pt2 files in its models/). Ends with a short table.
# STAGES="tests sanitizer bench" chooses.
set -uo pipefail
build=${1:-build/release}
stages=${STAGES:-tests sanitizer bench}
export REPRISE_TEST_DEVICE=${REPRISE_TEST_DEVICE:-cuda:0} GTEST_BRIEF=1
logs=${OUT:-$build/gpu-logs}
mkdir -p "$logs"
table=()

find_program() { # NAME
  local path
  for path in "$build/$1" "$build/tests/$1" "$build/tools/reprise/$1"; do
    [ -x "$path" ] && echo "$path" && return
  done
}

# A test program in several processes at once: kernels are compiled one after the other in each.
in_shards() { # COUNT PROGRAM
  local i failed=0 jobs=()
  for ((i = 0; i < $1; ++i)); do
    GTEST_TOTAL_SHARDS=$1 GTEST_SHARD_INDEX=$i "$2" &
    jobs+=($!)
  done
  for i in "${jobs[@]}"; do wait "$i" || failed=1; done
  return $failed
}

report() { # NAME STATUS SECONDS DETAIL
  table+=("$(printf '%-28s %-7s %5d s  %s' "$1" "$2" "$3" "$4")")
}

run() { # NAME LOG COMMAND…
  local name=$1 log=$logs/$2 started=$SECONDS status=passed
  shift 2
  "$@" >"$log" 2>&1 || status=FAILED
  grep -q "no CUDA GPU" "$log" && status=skipped
  [ "$status" = FAILED ] && grep -E "Failure|FAILED|error|ERROR|differ|  [a-z].*: " "$log" | head -n "${LINES_OF_FAILURES:-25}" | cut -c1-300
  report "$name" "$status" $((SECONDS - started)) "$(grep -E '^\[  (PASSED|FAILED)|tests ran|agree,|ERROR SUMMARY' "$log" | tail -n 2 | tr '\n' ' ' | cut -c1-110)"
}

if [[ $stages == *tests* ]]; then
  for name in conformance cuda kernels api samples; do
    program=$(find_program test_$name)
    [ -n "$program" ] && run "$name" "$name.log" in_shards "$([ $name = kernels ] && nproc || echo 1)" "$program"
  done
fi

sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [[ $stages == *sanitizer* && -x $sanitizer ]]; then
  program=$(find_program test_cuda)
  [ -n "$program" ] && run "memcheck: cuda" memcheck_cuda.log "$sanitizer" --tool memcheck --error-exitcode 9 "$program" --gtest_filter='-*OutOfMemory*:*Context*'
  program=$(find_program test_kernels)
  for tool in memcheck racecheck; do
    [ -n "$program" ] && run "$tool: kernels" "$tool.log" "$sanitizer" --tool $tool --error-exitcode 9 "$program" --gtest_filter="${SANITIZED:-Copy*:Reduce.*:Softmax.*:Norm.*}"
  done
fi

if [[ $stages == *bench* ]]; then
  program=$(find_program reprise)
  for model in ${MODELS:-"$build"/models/*.pt2}; do
    [ -e "$model" ] || continue
    for mode in "" --cudagraphs; do
      log=$logs/bench_$(basename "$model")$mode.log started=$SECONDS
      "$program" bench "$model" --device "$REPRISE_TEST_DEVICE" $mode >"$log" 2>&1 && status=ran || status=FAILED
      report "$(basename "$model" .pt2) $mode" $status $((SECONDS - started)) "$(grep -E '^(call|run|enqueue)' "$log" | sed 's/enqueue: /enqueue-/' | awk '{printf "%s %.1f us  ", $1, $3 * 1000}') $([ $status = FAILED ] && tail -n 1 "$log")"
    done
  done
fi

printf '%s\n' "${table[@]}"
[[ "${table[*]}" != *FAILED* ]]
