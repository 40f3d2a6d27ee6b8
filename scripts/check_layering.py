#!/usr/bin/env python3
"""Checks who includes whom: the folders of src/ form layers, and an include may only point to an allowed layer.

The runtime half never includes the compiler's. Public headers (include/reprise) are open to all, but those of the compiler only to its half.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# folder: folders that it may include besides itself. Public leaf headers are open to everyone.
ALLOWED = {
    "base": [],
    "sym": ["base"],
    "tensor": ["base"],
    "core": ["base", "sym", "tensor"],
    "device": ["base", "tensor"],
    "plan": ["base", "sym", "tensor", "core"],
    "kernels": ["base", "sym", "tensor", "core", "plan", "device"],
    "exec": ["base", "sym", "tensor", "core", "plan", "device", "kernels"],
    "runtime": ["base", "sym", "tensor", "core", "plan", "device", "kernels", "exec"],
    "api/runtime": ["base", "sym", "tensor", "core", "plan", "device", "kernels", "exec", "runtime"],
    "ir": ["base", "sym", "tensor", "core"],
    "ops": ["base", "sym", "tensor", "core", "ir"],
    "import": ["base", "sym", "tensor", "core", "ir", "ops"],
    "passes": ["base", "sym", "tensor", "core", "ir", "ops", "kernels"],
    "partition": ["base", "sym", "tensor", "core", "ir", "ops"],
    "lower": ["base", "sym", "tensor", "core", "ir", "passes", "plan", "kernels"],
    "api/compiler": ["base", "sym", "tensor", "core", "ir", "ops", "import", "passes", "partition", "lower", "plan", "kernels", "runtime"],
}
COMPILER = {"ir", "ops", "import", "passes", "partition", "lower", "api/compiler"}
COMPILER_HEADERS = {"compile.h", "converter.h", "dryrun.h", "program.h", "input.h", "reprise.h"}
# Where a compiler folder needs the vocabulary of a public compiler header, and the runtime never does.
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def layer(path: str) -> str | None:
    parts = path.split("/")
    if parts[0] == "api" and len(parts) > 1:
        return f"api/{parts[1]}"
    return parts[0] if parts[0] in ALLOWED else None


def is_cuda(path: str) -> bool:
    return path.startswith(("device/cuda/", "kernels/cuda/"))


def problems(file: pathlib.Path) -> list[str]:
    relative = file.relative_to(ROOT / "src").as_posix()
    if relative.startswith("kernels/cuda/text/"):
        return []  # compiled at run time: these include each other by name
    own = layer(relative)
    if own is None:
        return [f"src/{relative}: a folder that scripts/check_layering.py does not know"]
    found = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = match[1]
        place = f"src/{relative}:{number}"
        if target.startswith("reprise/"):
            if own not in COMPILER and target.removeprefix("reprise/") in COMPILER_HEADERS:
                found.append(f"{place}: the runtime includes the compiler's {target}")
            continue
        other = layer(target)
        if other is None:
            found.append(f"{place}: {target} is not written relative to src/ or include/")
        elif is_cuda(target) and not is_cuda(relative):
            found.append(f"{place}: only the CUDA half includes its headers ({target})")
        elif other != own and other not in ALLOWED[own]:
            found.append(f"{place}: {own} may not include {other} ({target})")
    return found


def main() -> int:
    files = [f for f in sorted((ROOT / "src").rglob("*")) if f.suffix in {".h", ".cpp", ".cu", ".cuh"}]
    found = [p for f in files for p in problems(f)]
    print("\n".join(found) if found else f"layering: {len(files)} files in order")
    return 1 if found else 0


sys.exit(main())
