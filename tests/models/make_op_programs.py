"""Exports small programs for what OpInfo has no samples of: make_op_programs.py [--folder FOLDER] [NAME...].

In-place operators, state, control flow, symbolic arithmetic, recurrent layers, resizing, box operators and those that only decompositions produce. A stateful
program is called twice; output2_N are the second call's outputs. One with dynamic sizes has inputs and expected values for several.
"""

import argparse
import os
import warnings

import op_programs_flow  # noqa: F401
import op_programs_tensor  # noqa: F401
import op_programs_values  # noqa: F401
import op_tools
import torch
from export_tools import arrays, save_arrays
from op_program import PROGRAMS
from op_tools import copied, differences
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))


def called(module: nn.Module, inputs: tuple, times: int) -> list:
    with torch.no_grad():
        return [copied(module(*copied(inputs))) for _ in range(times)]


def make(name: str, folder: str) -> None:
    """PyTorch itself must give the eager values from both files."""
    entry, stem = PROGRAMS[name], f"{folder}/{name}"
    examples = {suffix: example() for suffix, example in entry.sizes.items()}
    calls = 2 if entry.buffers else 1
    forms = op_tools.export_forms(entry.module(), copied(next(iter(examples.values()))), entry.dynamic, entry.with_grad, **entry.export_options)
    op_tools.write_forms(stem, forms)
    for suffix, inputs in examples.items():
        wanted = called(entry.module(), inputs, calls)
        for ending in forms:
            got = called(torch.export.load(stem + ending).module(), inputs, calls)
            if found := differences(got, wanted):
                raise ValueError(f"{ending} {suffix} {found}")
        end = f".{suffix}" if suffix else ""
        save_arrays(f"{stem}{end}.inputs.npz", arrays("input", inputs))
        save_arrays(f"{stem}{end}.expected.npz", *[arrays(label, outputs) for label, outputs in zip(("output", "output2"), wanted)])


def main() -> None:
    parser = argparse.ArgumentParser(description="Exports small programs for operators without samples.")
    parser.add_argument("--folder", default=os.path.join(HERE, "made/ops"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    os.makedirs(arguments.folder, exist_ok=True)
    failed = 0
    for name in arguments.names or PROGRAMS:
        try:
            make(name, arguments.folder)
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {(str(error).strip() or '?').splitlines()[0][:300]}")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
