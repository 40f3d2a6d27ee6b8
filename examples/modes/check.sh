#!/usr/bin/env bash
# Runs the example and compares what it prints with expected.txt: check.sh PROGRAM
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$1" "$here" | diff "$here/expected.txt" -
