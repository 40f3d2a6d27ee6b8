#!/bin/bash
# Brings NVIDIA's libraries and headers that the CUDA half uses from PyPI: NVRTC, cuBLAS, cuDNN and the headers of cudnn-frontend. Prints the folder: REPRISE_CUDA_WHEELS,
# else ./.cuda. Quick when they are there. A CUDA toolkit and a cuDNN that are installed serve as well.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${REPRISE_CUDA_WHEELS:-$PWD/.cuda}
packages=("nvidia-cuda-nvrtc==13.0.*" "nvidia-cublas==13.0.*" "nvidia-cudnn-cu13==9.14.*" "nvidia-cudnn-frontend==1.*")
wanted="${packages[*]}"
if [ "$(cat "$folder/packages" 2>/dev/null)" != "$wanted" ]; then
  python=$(command -v python3)
  "$python" -m pip --version >/dev/null 2>&1 || {
    "$python" -m venv "$folder/venv" >&2
    python=$folder/venv/bin/python
  }
  "$python" -m pip install --quiet --no-deps --upgrade --target "$folder" "${packages[@]}" >&2
  echo "$wanted" >"$folder/packages"
fi
echo "$folder"
