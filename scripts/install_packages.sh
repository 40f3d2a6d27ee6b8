#!/usr/bin/env bash
# Installs the Debian packages that are missing: install_packages.sh [build|check]
# build: what the README's commands need. check: what .ci/run needs besides (formatters, linters, sanitizers' and fuzzers' compiler).
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config libfmt-dev libsimdjson-dev zlib1g-dev libcli11-dev libgtest-dev libdnnl-dev)
if [ "${1:-build}" = check ]; then
  packages+=(ccache clang clang-format clang-tidy libclang-rt-14-dev libomp-14-dev llvm python3 python3-venv)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "installing: ${missing[*]}"
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
