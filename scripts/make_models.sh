#!/usr/bin/env bash
# Exports the whole models and PyTorch's operator samples for comparison, once per version of the scripts; prints the folder: make_models.sh PYTHON
# They are kept under REPRISE_MODELS, or the user's cache folder: exporting takes a quarter of an hour.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
key=$(cat tests/models/*.py tests/models/op_targets.txt | sha256sum | cut -c1-16)
folder=${REPRISE_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/reprise/models}/$key
if [ ! -e "$folder/complete" ]; then
  mkdir -p "$folder/ops"
  {
    "$python" -W ignore tests/models/zoo.py --folder "$folder"
    "$python" -W ignore tests/models/make_op_programs.py --folder "$folder/ops"
    export OMP_NUM_THREADS=1
    seq "$(nproc)" | xargs -P "$(nproc)" -I PART "$python" -W ignore tests/models/make_op_samples.py --folder "$folder/ops" --part "PART/$(nproc)"
  } >&2
  touch "$folder/complete"
fi
echo "$folder"
