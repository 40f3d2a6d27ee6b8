"""Makes the small selection of operator programs that is committed, ops/, for machines without PyTorch: select_ops.py [--folder FOLDER].

Of PyTorch's samples, the smallest few of each operator, many operators to a program ({first}-{last}.{dtype}); and the hand-written programs. Files are
deflated.
"""

import argparse
import glob
import os
import shutil
import tempfile
import warnings
import zipfile
import zlib

import make_op_programs
import make_op_samples
import op_tools
import torch
from make_op_samples import DTYPES, candidate_calls, export_problem, exported, split_usable, spread, value_problem
from op_program import PROGRAMS

HERE = os.path.dirname(os.path.abspath(__file__))
OPERATORS_PER_PROGRAM, SMALL, LARGEST = 8, 120, 1500
SAMPLES = {"f32": 3}


def elements(call: op_tools.Call) -> int:
    return sum(tensor.numel() for tensor in call.tensors())


def small_calls(info, dtype_name: str) -> list[op_tools.Call]:
    torch.manual_seed(zlib.crc32(f"{info.name}{info.variant_test_name}{dtype_name}".encode()))
    calls = sorted((call for call in candidate_calls(info, DTYPES[dtype_name]) if elements(call) <= LARGEST), key=elements)
    few = [call for call in calls if elements(call) <= SMALL] or calls[:1]
    return split_usable(spread(few, SAMPLES[dtype_name]), value_problem, [])


def write_group(stem: str, calls: list[op_tools.Call]) -> None:
    try:
        forms, found = exported(calls)
    except Exception:
        found = ["one of the samples does not export"]
    if found:
        calls = split_usable(calls, export_problem, [])
        forms, _ = exported(calls)
    op_tools.write_calls(stem, calls, forms)


def write_samples(folder: str) -> None:
    infos = make_op_samples.operators([])
    for dtype_name, dtype in DTYPES.items():
        if dtype_name not in SAMPLES:
            continue
        supported = [info for info in infos if dtype in info.supported_dtypes("cpu")]
        for start in range(0, len(supported), OPERATORS_PER_PROGRAM):
            group = supported[start : start + OPERATORS_PER_PROGRAM]
            calls = [call for info in group for call in small_calls(info, dtype_name)]
            first, last = (info.name.split(".")[-1].strip("_") for info in (group[0], group[-1]))
            if calls:
                write_group(f"{folder}/{first}-{last}.{dtype_name}", calls)
                print(first, last, dtype_name, len(calls), flush=True)


def deflate(source: str, target: str) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for info in old.infolist():
            entry = zipfile.ZipInfo(info.filename)  # of a fixed date, so that the same program gives the same file
            new.writestr(entry, old.read(info), zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the committed selection of operator programs.")
    parser.add_argument("--folder", default=os.path.join(HERE, "ops"))
    folder = parser.parse_args().folder
    warnings.simplefilter("ignore")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with tempfile.TemporaryDirectory() as made:
        for name in PROGRAMS:
            make_op_programs.make(name, made)
        write_samples(made)
        for file in glob.glob(f"{made}/*"):
            deflate(file, f"{folder}/{os.path.basename(file)}")
    print(sum(map(os.path.getsize, glob.glob(f"{folder}/*"))), "bytes")


if __name__ == "__main__":
    main()
