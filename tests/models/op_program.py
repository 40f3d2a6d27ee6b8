"""What the files of operator programs share: registering a function as a program, and example tensors."""

from dataclasses import dataclass, field
from typing import Callable

import op_tools  # noqa: F401  (first: it makes torchvision importable)
import torch
from torch import nn


@dataclass
class Program:
    function: Callable
    sizes: dict[str, Callable]  # suffix -> example inputs; the first is what is exported with
    dynamic: tuple | None
    parts: Callable = dict
    buffers: dict = field(default_factory=dict)
    with_grad: bool = False
    export_options: dict = field(default_factory=dict)

    def module(self) -> nn.Module:
        """The function as forward(), with its modules and buffers, always of the same values."""
        torch.manual_seed(0)
        module = type(self.function.__name__, (nn.Module,), {"forward": self.function})()
        for name, part in self.parts().items():
            module.add_module(name, part)
        for name, value in self.buffers.items():
            module.register_buffer(name, value.clone())
        return module.eval()


PROGRAMS: dict[str, Program] = {}


def program(*inputs, dynamic=None, sizes=None, **options):
    """Registers a function as a program; `inputs` are example tensors or, with `sizes`, absent."""

    def register(function):
        examples = sizes or {"": lambda: inputs}
        PROGRAMS[function.__name__] = Program(function, examples, dynamic, **options)
        return function

    return register


torch.manual_seed(0)
X, Y, Z = torch.randn(3, 5), torch.randn(3, 5), torch.randn(5)
IMAGE, VOLUME, SERIES = torch.randn(2, 4, 7, 9), torch.randn(1, 4, 5, 6, 7), torch.randn(2, 4, 11)
INTS, MORE_INTS = torch.randint(-20, 20, (4, 6)), torch.randint(0, 5, (4, 6))
ROWS, COLUMNS = torch.tensor([2, 0, 1]), torch.tensor([4, 0, 3])
MASK = torch.tensor([[True, False, True, False, False], [False] * 5, [True] * 5])
