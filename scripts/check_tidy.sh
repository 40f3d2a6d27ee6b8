#!/usr/bin/env bash
# clang-tidy on the sources that changed since a commit: check_tidy.sh BUILD_FOLDER [BASE]. Without a base: since the last commit but one.
set -euo pipefail
cd "$(dirname "$0")/.."
base=${2:-HEAD~1}
git rev-parse -q --verify "$base" >/dev/null || base=$(git hash-object -t tree /dev/null)
mapfile -t files < <(git diff --name-only --diff-filter=AM "$base" -- 'src/*.cpp' 'tools/*.cpp' | head -n 12)
[ ${#files[@]} -eq 0 ] && { echo "tidy: nothing changed"; exit 0; }
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 2 clang-tidy -p "$1" --quiet --extra-arg=-Wno-unknown-warning-option --warnings-as-errors='*' 2>/dev/null
echo "tidy: ${#files[@]} files"
