#!/usr/bin/env bash
# Exports the whole models and PyTorch's operator samples for comparison, once per version of the scripts; prints the folder: make_models.sh PYTHON
# They are kept under REPRISE_MODELS, or the user's cache folder. All samples take a quarter of an hour or more: those that REPRISE_EXPORT_SECONDS (default
# 300) do not suffice for are made by later calls, f32 first.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
makers=$(ls tests/models/{zoo,make_op_programs,make_op_samples,op_program*,op_tools}.py scripts/{torchvision_cpu,export_tools}.py)
key=$(cat $makers tests/models/op_targets.txt | sha256sum | cut -c1-16)
folder=${REPRISE_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/reprise/models}/$key
if [ ! -e "$folder/complete" ]; then
  mkdir -p "$folder/ops"
  {
    if [ ! -e "$folder/whole" ]; then
      "$python" -W ignore tests/models/zoo.py --folder "$folder"
      "$python" -W ignore tests/models/make_op_programs.py --folder "$folder/ops"
      touch "$folder/whole"
    fi
    export OMP_NUM_THREADS=1
    parts=$(nproc)
    seq "$parts" | timeout "${REPRISE_EXPORT_SECONDS:-300}" xargs -P "$parts" -I PART "$python" -W ignore tests/models/make_op_samples.py \
      --folder "$folder/ops" --part "PART/$parts" && touch "$folder/complete" || [ $? -eq 124 ] # 124: out of time
  } >&2
fi
echo "$folder"
