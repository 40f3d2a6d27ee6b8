"""Exports the program that the runtime modes are measured on: make_modes.py FOLDER.

The folder modes/ holds what PyTorch 2.13 wrote: breaks.pt2, breaks.inputs.npz, breaks.expected.npz.
"""

import os
import sys

import torch
from torch import nn
from torch.export import Dim, export

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from export_tools import save_example, save_program  # noqa: E402


class Breaks(nn.Module):
    """Eleven layers with ten multiplications between them: where these fall back, the program breaks ten times."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(11))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.tanh(layer(x)) * 1.5
        return self.layers[-1](x)


def main(folder):
    torch.manual_seed(0)
    os.makedirs(folder, exist_ok=True)
    module, args = Breaks().eval(), (torch.randn(4, 64),)
    save_program(export(module, args, dynamic_shapes=({0: Dim("batch", min=1, max=16)},)), f"{folder}/breaks.pt2")
    save_example(module, args, {}, f"{folder}/breaks")


main(sys.argv[1])
