"""Exports a small net with two custom ops: export.py [FOLDER].

Writes custom_ops.pt2 (dynamic batch of 1 to 32) and calls.npz: input_0, and output_0 and output2_0 of two calls in a row, since one op changes a buffer.
The files beside this script are what it wrote.
"""

import os
import sys

import torch
from torch import nn
from torch.export import Dim, export
from torch.library import custom_op

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../scripts"))
from export_tools import arrays, save_arrays, save_program  # noqa: E402


@custom_op("demo::hard_mish", mutates_args=())
def hard_mish(x: torch.Tensor, slope: float = 1.0) -> torch.Tensor:
    return x / 2 * torch.clamp(x * slope + 2, 0, 2)


@hard_mish.register_fake
def _(x, slope=1.0):
    return torch.empty_like(x)


@custom_op("demo::moving_average_", mutates_args={"average"})
def moving_average_(average: torch.Tensor, x: torch.Tensor, weight: float) -> None:
    average.lerp_(x.mean(0), weight)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 4)
        self.register_buffer("average", torch.zeros(16))

    def forward(self, x):
        hidden = torch.ops.demo.hard_mish(self.first(x), 0.5)
        torch.ops.demo.moving_average_(self.average, hidden, 0.25)
        return self.last(hidden - self.average)


def main(folder):
    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(5, 8)
    save_program(export(net, (x,), dynamic_shapes=({0: Dim("batch", min=1, max=32)},)), f"{folder}/custom_ops.pt2")
    net.average.zero_()
    with torch.no_grad():
        save_arrays(f"{folder}/calls.npz", arrays("input", (x,)), arrays("output", net(x)), arrays("output2", net(x)))


main(sys.argv[1] if len(sys.argv) > 1 else HERE)
