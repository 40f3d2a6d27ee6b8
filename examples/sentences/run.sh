#!/bin/bash
# Sentence similarity with MiniLM's pretrained weights: exported by PyTorch, compiled and run by reprise, compared with PyTorch's embeddings.
# REPRISE names the reprise program (else build/release's, else the one on PATH), REPRISE_PYTHON a Python that has the packages.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
made="$here/made"

reprise="${REPRISE:-$here/../../build/release/tools/reprise/reprise}"
[ -x "$reprise" ] || reprise="$(command -v reprise)" || { echo "run.sh: build reprise first, or set REPRISE" >&2; exit 1; }

python="$("$here/../../scripts/setup_python.sh")"
[ -f "$made/minilm.expected.npz" ] || "$python" -W ignore "$here/export.py" "$made"
"$reprise" compile "$made/minilm.pt2" -o "$made/minilm.rpz"
"$reprise" run "$made/minilm.rpz" --inputs "$made/minilm.inputs.npz" --outputs "$made/minilm.outputs.npz" --expect "$made/minilm.expected.npz"
"$python" "$here/similarity.py" "$made/minilm.outputs.npz"
