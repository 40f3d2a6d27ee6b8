"""What every export script here needs: programs saved without machine paths, and arrays in the layout that `reprise run` reads.

Arrays are named by position: input_0, input_1, ... in the flattened order of the user inputs, output_0, ... in that of the outputs. bfloat16, which .npz
cannot hold, is stored as float32.
"""

import os

import numpy as np
import torch
from torch.utils import _pytree as pytree

from neutral_paths import neutralize


def save_program(program: torch.export.ExportedProgram, path: str) -> None:
    torch.export.save(program, path)
    neutralize(path)


def save_forms(program: torch.export.ExportedProgram, stem: str) -> None:
    """{stem}.pt2 as torch.export.export gives it, {stem}.core.pt2 after run_decompositions()."""
    save_program(program, f"{stem}.pt2")
    save_program(program.run_decompositions(), f"{stem}.core.pt2")


def to_array(leaf) -> np.ndarray:
    if not isinstance(leaf, torch.Tensor):
        return np.asarray(leaf)
    leaf = leaf.detach().contiguous()
    return (leaf.float() if leaf.dtype == torch.bfloat16 else leaf).numpy()


def arrays(name: str, tree) -> dict[str, np.ndarray]:
    """Numbered by flattened position; a None output keeps its number and has no array."""
    return {f"{name}_{i}": to_array(leaf).copy() for i, leaf in enumerate(pytree.tree_leaves(tree)) if leaf is not None}


def save_arrays(path: str, *groups: dict[str, np.ndarray]) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    np.savez(f"{path}.part.npz", **{name: array for group in groups for name, array in group.items()})
    os.replace(f"{path}.part.npz", path)  # a process that is stopped leaves no half of a file


def save_example(module: torch.nn.Module, args: tuple, kwargs: dict, stem: str) -> None:
    """{stem}.inputs.npz and {stem}.expected.npz from one eager call, on copies since a program may write to its inputs."""
    save_arrays(f"{stem}.inputs.npz", arrays("input", (args, kwargs)))
    args, kwargs = pytree.tree_map_only(torch.Tensor, torch.clone, (args, kwargs))
    with torch.no_grad():
        save_arrays(f"{stem}.expected.npz", arrays("output", module(*args, **kwargs)))
