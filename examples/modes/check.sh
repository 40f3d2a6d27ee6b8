#!/usr/bin/env bash
# Runs the example and compares what it prints with expected.txt: check.sh PROGRAM [DEVICE [NET]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
device=${2:-cpu}
names=cat
[ "$device" = cpu ] || names='sed s/devices.*calls/devices,calls/'  # how many there are differs
"$1" "$here" "$device" ${3:+"$3"} | $names | diff <($names "$here/expected.txt") -
