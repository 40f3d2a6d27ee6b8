"""Shared by the scripts that export operators: a module that makes many calls, and writing one case with PyTorch's values.

A case is {name}.pt2, {name}.core.pt2 (after run_decompositions), {name}.inputs.npz and {name}.expected.npz.
"""

import os
import sys
from dataclasses import dataclass
from typing import Callable

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
import torchvision_cpu  # noqa: E402, F401
import torch  # noqa: E402
from export_tools import arrays, save_arrays, save_program  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils import _pytree as pytree  # noqa: E402

TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2, torch.float64: 1e-10}
UNNEEDED_METADATA = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


@dataclass
class Call:
    """One call of a function; its tensors are the program's inputs, everything else is constant."""

    function: Callable
    args: tuple
    kwargs: dict

    def tensors(self) -> list[torch.Tensor]:
        return [leaf for leaf in pytree.tree_leaves((self.args, self.kwargs)) if isinstance(leaf, torch.Tensor)]

    def run(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        remaining = iter(tensors)
        args, kwargs = pytree.tree_map_only(torch.Tensor, lambda _: next(remaining), (self.args, self.kwargs))
        return [leaf for leaf in pytree.tree_leaves(self.function(*args, **kwargs)) if isinstance(leaf, torch.Tensor)]


class Calls(nn.Module):
    """Makes each call on its own inputs: one program for many samples, since an export costs far more than a call."""

    def __init__(self, calls: list[Call]):
        super().__init__()
        self.calls = calls

    def inputs(self) -> tuple:
        return tuple(tensor for call in self.calls for tensor in call.tensors())

    def forward(self, *tensors):
        outputs, start = [], 0
        for call in self.calls:
            count = len(call.tensors())
            outputs += call.run(list(tensors[start : start + count]))
            start += count
        return outputs


def copied(tree):
    return pytree.tree_map_only(torch.Tensor, lambda t: t.detach().clone(memory_format=torch.contiguous_format), tree)


def differences(got, want) -> list[str]:
    """What differs between two results by more than a tolerance relative to the largest finite value; NaN and infinity must stand in the same places."""
    found = []
    for index, (a, b) in enumerate(zip(pytree.tree_leaves(got), pytree.tree_leaves(want), strict=True)):
        if not isinstance(b, torch.Tensor):
            found += [] if a == b else [f"output {index}: {a} and {b}"]
        elif a.dtype != b.dtype or a.shape != b.shape:
            found.append(f"output {index}: {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}")
        elif b.numel() and not torch.allclose(a, b, rtol=0, atol=largest(b) * TOLERANCE.get(b.dtype, 0), equal_nan=True):
            found.append(f"output {index}: values")
    return found


def largest(tensor: torch.Tensor) -> float:
    finite = tensor[tensor.isfinite()] if tensor.is_floating_point() else tensor
    return float(finite.abs().max()) if finite.numel() and tensor.dtype != torch.bool else 0.0


def without_metadata(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Source lines are most of a small program's bytes."""
    for graph_module in program.graph_module.modules():
        if isinstance(graph_module, torch.fx.GraphModule):
            for node in graph_module.graph.nodes:
                for key in UNNEEDED_METADATA:
                    node.meta.pop(key, None)
    return program


def export_forms(module, args: tuple, dynamic=None, with_grad=False, **options) -> dict[str, torch.export.ExportedProgram]:
    """Both forms by file ending."""
    with torch.set_grad_enabled(with_grad):
        program = torch.export.export(module, args, dynamic_shapes=dynamic, **options)
        core = program.run_decompositions()
    return {".pt2": without_metadata(program), ".core.pt2": without_metadata(core)}


def write_forms(stem: str, forms: dict) -> None:
    for ending, program in forms.items():
        save_program(program, stem + ending)


def write_calls(stem: str, calls: list[Call], forms: dict) -> None:
    """The expected values come last, so that they tell that a case is complete."""
    module = Calls(calls)
    with torch.no_grad():
        expected = module(*copied(module.inputs()))
    write_forms(stem, forms)
    save_arrays(f"{stem}.inputs.npz", arrays("input", module.inputs()))
    save_arrays(f"{stem}.expected.npz", arrays("output", expected))
