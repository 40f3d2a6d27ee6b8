#!/bin/bash
# Sentence similarity with MiniLM's pretrained weights: exported by PyTorch, compiled and run by reprise, compared with PyTorch's embeddings.
# REPRISE names the reprise program (else build/release's, else the one on PATH), REPRISE_PYTHON a Python that has the packages.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
made="$here/made"

reprise="${REPRISE:-$here/../../build/release/tools/reprise/reprise}"
if [ ! -x "$reprise" ] && ! reprise="$(command -v reprise)"; then
  (cd "$here/../.." && scripts/install_packages.sh build && cmake --preset release -DREPRISE_TESTS=OFF >/dev/null && cmake --build --preset release --target reprise_cli)
  reprise="$here/../../build/release/tools/reprise/reprise"
fi

python="$("$here/../../scripts/setup_python.sh")"
[ -f "$made/minilm.expected.npz" ] || "$python" -W ignore "$here/export.py" "$made"
"$reprise" compile "$made/minilm.pt2" -o "$made/minilm.rpz"
"$reprise" run "$made/minilm.rpz" --inputs "$made/minilm.inputs.npz" --outputs "$made/minilm.outputs.npz" --expect "$made/minilm.expected.npz"
"$python" "$here/similarity.py" "$made/minilm.outputs.npz"
