#!/usr/bin/env bash
# The runtime library needs nothing of the compiler's: check_symbols.sh LIBREPRISE_RUNTIME
set -euo pipefail
found=$(nm -C --undefined-only "$1" 2>/dev/null | grep -E ' U reprise::(ir|ops|import|passes|partition|lower|api|compile|load_program)\b' || true)
if [ -n "$found" ]; then
  echo "the runtime library needs symbols of the compiler:"
  echo "$found"
  exit 1
fi
echo "symbols: the runtime library stands alone"
