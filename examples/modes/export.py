"""Exports the small programs of the modes example: export.py [FOLDER]. The files beside this script are what it wrote."""

import os
import sys

import torch
from torch import nn
from torch.export import Dim, export

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../scripts"))
from export_tools import save_program  # noqa: E402


class Break(nn.Module):
    def forward(self, x):
        return torch.relu((x + 2) * 0.5)


class Masked(nn.Module):
    """Results whose sizes depend on data."""

    def forward(self, x):
        positive = x > 0
        return x[positive], torch.nonzero(positive)


class Blocks(nn.Sequential):
    """Two residual convolution blocks with a classifier: a ResNet in small."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.convs = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)) for _ in range(2))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for conv in self.convs:
            x = torch.relu(x + conv(x))
        return self.head(x.mean((2, 3)))


def main(folder):
    torch.manual_seed(0)
    batch = {0: Dim("batch", min=1, max=16)}
    save_program(export(Break(), (torch.randn(4, 8),), dynamic_shapes=(batch,)), f"{folder}/break.pt2")
    save_program(export(Masked(), (torch.randn(12),)), f"{folder}/masked.pt2")
    save_program(export(Blocks().eval(), (torch.randn(2, 3, 16, 16),), dynamic_shapes=(batch,)), f"{folder}/blocks.pt2")


main(sys.argv[1] if len(sys.argv) > 1 else HERE)
