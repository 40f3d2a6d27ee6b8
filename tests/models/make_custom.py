"""Exports programs with custom ops, which only a user's converters and foreign kernels make runnable: make_custom.py FOLDER.

The folder custom/ holds what PyTorch 2.13 wrote. Per program: {name}.pt2 and {name}.core.pt2 (the two export forms), {name}.inputs.npz, {name}.expected.npz; output2_N are
a second call's outputs. {name}.v1.pt2, where custom ops change arguments: the decomposed form with auto_functionalized in place of auto_functionalized_v2.
"""

import os
import sys

import torch
from torch import nn
from torch.export import Dim, export
from torch._export import config as export_config
from torch.library import custom_op

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from export_tools import arrays, save_arrays, save_forms, save_program  # noqa: E402

torch.library.define("mylib::scale_shift", "(Tensor x, Tensor? shift=None, float factor=2.0) -> Tensor")
torch.library.define("mylib::describe", "(Tensor[] parts, SymInt[] sizes, *, str mode=\"sum\", bool negate=False) -> (Tensor, Tensor)")


@torch.library.impl("mylib::scale_shift", "CPU")
def scale_shift(x, shift=None, factor=2.0):
    return x * factor + (0 if shift is None else shift)


@torch.library.register_fake("mylib::scale_shift")
def _(x, shift=None, factor=2.0):
    return torch.empty_like(x)


@torch.library.impl("mylib::describe", "CPU")
def describe(parts, sizes, *, mode="sum", negate=False):
    """The sum or the largest element of each part, and the sizes as numbers."""
    found = torch.stack([p.sum() if mode == "sum" else p.max() for p in parts])
    return -found if negate else found, torch.tensor(sizes, dtype=torch.int64)


@torch.library.register_fake("mylib::describe")
def _(parts, sizes, *, mode="sum", negate=False):
    return parts[0].new_empty(len(parts)), torch.empty(len(sizes), dtype=torch.int64)


@custom_op("mylib::accumulate_", mutates_args={"total"})
def accumulate_(total: torch.Tensor, x: torch.Tensor) -> None:
    total.add_(x.sum(0))


torch.library.define("mylib::advance_", "(Tensor(a!)[] parts, Tensor step, Tensor(b!)? count=None) -> Tensor")


@torch.library.impl("mylib::advance_", "CPU")
def advance_(parts, step, count=None):
    """Adds a step to every part, and one to the count if there is one; the sum of the first part."""
    for part in parts:
        part.add_(step)
    if count is not None:
        count.add_(1)
    return parts[0].sum()


@torch.library.register_fake("mylib::advance_")
def _(parts, step, count=None):
    return parts[0].new_empty(())


@custom_op("mylib::positive", mutates_args=())
def positive(x: torch.Tensor) -> torch.Tensor:
    return x[x > 0].clone()


@positive.register_fake
def _(x):
    return x.new_empty(torch.library.get_ctx().new_dynamic_size())


class Pure(nn.Module):
    """Custom ops between others, the batch is dynamic."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        y = torch.relu(self.first(x))
        y = torch.ops.mylib.scale_shift(y, self.first.bias, 0.5) + torch.ops.mylib.scale_shift(y.t().contiguous().t())
        return torch.relu(self.last(y)), *torch.ops.mylib.describe([x, y], [x.shape[0], 7], mode="max", negate=True)


class Running(nn.Module):
    """A custom op changes a buffer and a slice of an input."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(4))

    def forward(self, x, seen):
        torch.ops.mylib.accumulate_(self.total, x * 2)
        torch.ops.mylib.accumulate_(seen[1], x)
        return x + self.total, seen.sum()


class Advancing(nn.Module):
    """A custom op changes a list of tensors, parts of an input among them, or nothing where an optional one is missing, and returns another."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(4))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x, seen):
        first = torch.ops.mylib.advance_([self.total, seen[1]], x * 2, self.count)
        second = torch.ops.mylib.advance_([self.total], x)
        return first + second, self.total + x, seen.sum(0), self.count * 3


class Positive(nn.Module):
    """A custom op whose result's size depends on data."""

    def forward(self, x):
        found = torch.ops.mylib.positive(x + 1)
        return found * 2, found.sum()


def main(folder):
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    batch = {0: Dim("batch", min=1, max=64)}
    programs = {
        "pure": (Pure(), (torch.randn(3, 4),), (batch,)),
        "running": (Running(), (torch.randn(3, 4), torch.zeros(2, 4)), (batch, None)),
        "positive": (Positive(), (torch.randn(12),), None),
        "advancing": (Advancing(), (torch.randn(4), torch.zeros(2, 4)), None),
    }
    for name, (model, inputs, dynamic) in programs.items():
        model.eval()
        program = export(model, inputs, dynamic_shapes=dynamic)
        save_forms(program, f"{folder}/{name}")
        if name in ("running", "advancing"):
            export_config.enable_auto_functionalized_v2_for_export = False
            save_program(program.run_decompositions(), f"{folder}/{name}.v1.pt2")
            export_config.enable_auto_functionalized_v2_for_export = True
        save_arrays(f"{folder}/{name}.inputs.npz", arrays("input", inputs))
        with torch.no_grad():
            outputs = arrays("output", model(*[x.clone() for x in inputs]))
            outputs |= arrays("output2", model(*[x.clone() for x in inputs]))
        save_arrays(f"{folder}/{name}.expected.npz", outputs)


main(sys.argv[1])
