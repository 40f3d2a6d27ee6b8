#!/usr/bin/env python3
"""Runs exported programs with the command line and compares with PyTorch's values: compare_with_pytorch.py REPRISE FOLDER [NAME…]

FOLDER holds {case}.pt2, {case}.core.pt2, {case}.inputs.npz and {case}.expected.npz; a case with several shapes has {case}.{shape}.inputs.npz. Tolerances are relative to the
largest value of each output: for one operator (cases named {operator}.{dtype}) 1e-5 in f32, 2e-3 in f16, 1.6e-2 in bf16; for whole models those of the command line.
"""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

KNOWN = pathlib.Path(__file__).resolve().parent.parent / "tests/models/known_differences.txt"
TOLERANCES = {"f32": 1e-5, "f16": 2e-3, "bf16": 1.6e-2}


def cases(folder: pathlib.Path, names: list[str]):
    """(program, inputs, expected) for every form and shape."""
    for expected in sorted(folder.glob("*.expected.npz")):
        stem = expected.name.removesuffix(".expected.npz")
        inputs = folder / f"{stem}.inputs.npz"
        program = stem if (folder / f"{stem}.pt2").exists() else stem.rsplit(".", 1)[0]
        if names and not any(program == n or program.startswith(n + ".") for n in names):
            continue
        for form in ("", ".core"):
            file = folder / f"{program}{form}.pt2"
            if file.exists():
                yield file, inputs, expected


def run(reprise: str, case, flags: list[str]) -> tuple[str, int, str]:
    file, inputs, expected = case
    words = file.name.split(".")
    dtype = next((w for w in words if w in TOLERANCES), None)
    command = [reprise, "run", str(file), "--inputs", str(inputs), "--expect", str(expected)]
    command += flags
    if dtype:
        command += ["--rtol", str(TOLERANCES[dtype]), "--atol", "1e-6"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
        return file.name, done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return file.name, -1, "more than 300 s"


def known_differences() -> dict[str, str]:
    lines = (line.strip() for line in KNOWN.read_text().splitlines())
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("reprise")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--flags", default="", help="further ones of `reprise run`: --flags='--threads 3 --cpu-isa avx2'")
    parser.add_argument("--verbose", action="store_true", help="the whole output of what fails")
    options = parser.parse_args()
    passed = failed = 0
    known, differ, agree = known_differences(), set(), set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, text in pool.map(lambda case: run(options.reprise, case, options.flags.split()), cases(options.folder, options.names)):
            case = name.removesuffix(".pt2").removesuffix(".core")
            if case in known:
                (agree if code == 0 else differ).add(case)
                continue
            if code == 0:
                passed += 1
                continue
            failed += 1
            lines = text.strip().splitlines()
            shown = lines if options.verbose else [line for line in lines if not line.endswith(" ok")][-3:-1] or lines[-1:]
            print(f"{name}: exit {code}", *(f"    {line[:240]}" for line in shown), sep="\n", flush=True)
    for case in sorted(agree - differ):
        print(f"{case}: agrees now, its line in {KNOWN.name} can go")
    print(f"{len(differ)} known differences left out")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
