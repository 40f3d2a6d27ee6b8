"""Exports six small programs with the PyTorch that runs it: make_generations.py FOLDER.

generations/torch-X.Y.Z/ holds what six versions wrote, since each container format and schema lives on in users' files. Per program: {name}.pt2 and
{name}.core.pt2 (the two export forms), {name}.inputs.npz, {name}.expected.npz; `state` is called twice, and output2_N are the second call's outputs.
"""

import os
import sys

import torch
from torch import nn
from torch.export import Dim, export

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from export_tools import arrays, save_arrays, save_forms  # noqa: E402


class ConvNet(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, stride=2, groups=2), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
        )  # fmt: skip


class Attention(nn.Module):
    """Batch and sequence are dynamic, reshapes compute with them, and one output is a number."""

    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.project = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x):
        batch, length, width = x.shape
        heads = self.qkv(self.norm(x)).reshape(batch, length, 3, 4, width // 4)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return x + self.project(mixed.transpose(1, 2).reshape(batch, length, width)), batch * length


class Cache(nn.Module):
    """A call changes a counter and a row of a cache."""

    def __init__(self):
        super().__init__()
        self.register_buffer("step", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("cache", torch.zeros(2, 8, 4))

    def forward(self, x):
        self.cache.index_copy_(1, self.step, x.unsqueeze(1))
        self.step.add_(1)
        return self.cache.sum(1) + x, self.step * 2


class Shared(nn.Module):
    """Tied weights, parameters that are views, a non-persistent buffer, a lifted constant, nested inputs and outputs, a keyword."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 6), nn.Linear(6, 11, bias=False)
        self.head.weight = self.embedding.weight
        both = torch.randn(4, 12)
        self.left, self.right = nn.Parameter(both[:, :6]), nn.Parameter(both[:, 6:])
        self.register_buffer("scale", torch.tensor([0.5, 2.0, 1.0, 3.0, 0.25, 1.5]), persistent=False)

    def forward(self, tokens, extra, *, flip=False):
        hidden = self.embedding(tokens) * self.scale + torch.tensor([1.0, 0, 0, 0, 0, -1.0])
        hidden = hidden - extra["bias"][0] if flip else hidden + extra["bias"][0]
        return {"logits": self.head(hidden), "sides": (hidden @ self.left.T, hidden @ self.right.T)}


class Branch(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x.sin() + 1, lambda x: x.cos() * 2, (x,))


class Select(nn.Module):
    """Output shapes depend on values."""

    def forward(self, x):
        return torch.nonzero(x > 0.5), x[x > 0.5] * 2


def programs():
    """name, module, positional inputs, keyword inputs, dynamic shapes."""
    batch, length = Dim("batch", min=1, max=64), Dim("length", min=2, max=256)
    yield "convnet", ConvNet(), (torch.randn(2, 3, 16, 16),), {}, None
    yield "dynamic", Attention(), (torch.randn(3, 5, 32),), {}, {"x": {0: batch, 1: length}}
    yield "state", Cache(), (torch.randn(2, 4),), {}, None
    yield "shared", Shared(), (torch.tensor([[1, 2, 3], [4, 5, 10]]), {"bias": [torch.randn(6)]}), {"flip": False}, None
    yield "cond", Branch(), (torch.randn(4, 3),), {}, None
    yield "data_dependent", Select(), (torch.rand(6, 5),), {}, None


def main(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    for name, module, args, kwargs, dynamic in programs():
        module.eval()
        with torch.no_grad():
            save_forms(export(module, args, kwargs, dynamic_shapes=dynamic), f"{folder}/{name}")
            save_arrays(f"{folder}/{name}.inputs.npz", arrays("input", (args, kwargs)))
            groups = [arrays("output", module(*args, **kwargs))]
            if name == "state":
                groups.append(arrays("output2", module(*args, **kwargs)))
            save_arrays(f"{folder}/{name}.expected.npz", *groups)


if __name__ == "__main__":
    main(sys.argv[1])
