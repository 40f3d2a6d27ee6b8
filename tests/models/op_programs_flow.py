"""Programs with state, data-dependent shapes, control flow and dynamic sizes."""

from typing import Callable

import torch
from op_program import MASK, X, Y, program
from torch import nn
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.export import Dim
from torch.nn import functional as F

aten = torch.ops.aten


# State


@program(torch.randn(1, 2, 1, 4), torch.tensor([3]), buffers={"keys": torch.zeros(1, 2, 8, 4), "count": torch.zeros((), dtype=torch.int64)})
def cache_index_copy(self, new, position):
    self.keys.index_copy_(2, position, new)
    self.count.add_(1)
    return self.keys.sum(2), self.count * 2


@program(torch.randn(1, 2, 3, 4), buffers={"cache": torch.zeros(1, 2, 8, 4)})
def cache_slice(self, new):
    self.cache[:, :, 2:5] = new + self.cache[:, :, 1:4]
    return self.cache @ new.transpose(2, 3)


@program(torch.randn(4), buffers={"history": torch.zeros(5, 4)})
def cache_roll(self, new):
    self.history.copy_(torch.roll(self.history, -1, 0))
    self.history[-1] = new
    return self.history.mean(0), self.history


@program(torch.randn(3, 4), torch.tensor([1, 0, 1]), buffers={"sums": torch.zeros(2, 4), "counts": torch.zeros(2)})
def state_accumulate(self, rows, bins):
    self.sums.index_put_((bins,), rows, accumulate=True)
    self.counts.scatter_add_(0, bins, torch.ones(3))
    return self.sums / self.counts.clamp(min=1).unsqueeze(1)


# Data-dependent shapes and values


@program(X, torch.tensor([3, 1, 3, 2, 1, 1]), MASK)
def data_dependent(self, x, n, mask):
    rows = torch.nonzero(x > 0)
    values, inverse, counts = torch.unique(n, return_inverse=True, return_counts=True)
    runs, run_counts = torch.unique_consecutive(n, return_counts=True)
    return rows, x.masked_select(mask), x[mask] * 2, values, inverse, counts, runs, run_counts, *torch.nonzero(mask, as_tuple=True), rows.sum(0), x[mask].sum()


@program(torch.tensor([[1, 2], [0, 3], [1, 2], [0, 1]]), torch.tensor([2, 0, 3]))
def data_dependent_more(self, table, repeats):
    unique_rows, inverse = torch.unique(table, dim=0, return_inverse=True)
    return unique_rows, inverse, torch.repeat_interleave(table[:3], repeats, 0), torch.repeat_interleave(repeats), torch.bincount(table.flatten())


@program(torch.tensor(4), torch.randn(6, 3), torch.tensor([2, 1]))
def scalar_from_tensor(self, n, x, sizes):
    count = n.item()
    torch._check(count >= 2)
    torch._check(count <= 6)
    first, second = sizes.tolist()
    torch._check(first >= 0)
    torch._check(second >= 0)
    return x[:count] * count, torch.arange(count), x.new_ones(first + second, 2), torch.full((2,), count)


@program(X, torch.tensor(0.5), torch.tensor(True))
def scalars_into_math(self, x, scale, flag):
    aten._assert_async.msg(flag, "flag must be set")
    torch._check(x.shape[0] == 3)
    return x * scale.item(), x + scale.item() * 2, x.to(torch.float64) * 2


# Control flow


@program(X, Y)
def cond(self, x, y):
    picked = torch.cond(x.sum() > y.sum(), lambda a, b: (a + b, a.sum(0)), lambda a, b: (a * b - 1, b.mean(0)), (x, y))
    nested = torch.cond(x[0, 0] > 0, lambda a: torch.cond(a.mean() > 0, lambda b: b + 1, lambda b: b - 1, (a,)), lambda a: a.cos(), (x,))
    return picked, nested


@program(torch.tensor(0), torch.randn(4), torch.randn(4))
def while_loops(self, i, x, step):
    return while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, x * 0.5 + step), (i, x))


@program(torch.randn(3), torch.randn(6, 3), parts=lambda: {"cell": nn.Linear(3, 3)})
def scans(self, start, rows):
    last, all_rows = scan(lambda carry, row: ((carry * 0.5 + row), (carry.tanh() + row)), start, rows)
    return last, all_rows, self.cell(all_rows)


@program(X, parts=lambda: {"linear": nn.Linear(5, 4)}, with_grad=True)
def grad_modes(self, x):
    with torch.no_grad():
        y = self.linear(x).sin()
    with torch.enable_grad():
        z = y * 2 + 1
    return y, z, x.detach() * 3


@program(X, parts=lambda: {"linear": nn.Linear(5, 4)}, with_grad=True)
def autocast(self, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = self.linear(x)
    with torch.autocast("cpu", enabled=False):
        z = self.linear(x)
    return y.float(), z


# Dynamic sizes

N, M = Dim("n", min=2, max=64), Dim("m", min=2, max=64)


def sized(shape: Callable, *sizes: int) -> dict:
    return {f"n{n}": lambda n=n: tuple(torch.randn(*one) for one in shape(n)) for n in sizes}


@program(
    dynamic=({0: Dim("n", min=6, max=64)},), sizes=sized(lambda n: [(n, 6)], 8, 6, 17), export_options={"prefer_deferred_runtime_asserts_over_guards": True}
)
def symbolic_arithmetic(self, x):
    n = x.shape[0]
    half, rest = n // 2, n - n // 2
    parts = [x[:half], x[half:], x.reshape(n * 2, 3), x.reshape(-1), torch.zeros(n + 1, rest), x.new_full((n**2,), 2.0), x[-1:], F.pad(x, (0, n % 3))]
    return [
        *parts,
        n * 2 + 1,
        -n,
        n // 3,
        n % 4,
        n**2,
        x.sum() / n,
        torch.sym_max(n, 7),
        torch.sym_min(n, 7),
        torch.arange(n) * n,
        torch.arange(0, n, 2),
        x[n // 3 : n - 1],
    ]


@program(dynamic=({0: N},), sizes=sized(lambda n: [(n, 4)], 6, 3, 31))
def symbolic_floats(self, x):
    n = x.shape[0]
    scale = 1.0 / n**0.5
    return x * scale, x * (n / 3), x + torch.sym_float(n) * 0.5, x * n, torch.full((3,), n / 4), x**n


@program(dynamic=({0: N},), sizes=sized(lambda n: [(n, 4)], 6, 3, 9))
def symbolic_booleans(self, x):
    n = x.shape[0]
    branches = (lambda x: x + 1, lambda x: x * 2)
    bounds = [torch.cond(condition, *branches, (x,)) for condition in (n > 5, n == 6, torch.sym_not(n >= 4), n <= 3, n % 2 == 1)]
    return *bounds, torch.sym_max(torch.sym_min(n, 8), 4)


@program(
    dynamic=({2: Dim("n", min=16, max=64), 3: Dim("m", min=16, max=64)},),
    sizes={f"n{n}m{m}": lambda n=n, m=m: (torch.randn(1, 3, n, m),) for n, m in ((24, 20), (17, 33), (64, 16))},
    parts=lambda: {"conv": nn.Conv2d(3, 4, 3, 2, 1)},
)
def dynamic_image(self, image):
    features = self.conv(image)
    up = F.interpolate(features, size=image.shape[2:], mode="bilinear")
    pooled = F.adaptive_avg_pool2d(F.max_pool2d(features, 2), 1)
    cubic = F.interpolate(image, scale_factor=0.75, mode="bicubic")
    return (
        up,
        pooled.flatten(1),
        cubic,
        F.interpolate(image, scale_factor=0.5),
        F.interpolate(features, scale_factor=1.5, mode="bilinear"),
        F.avg_pool2d(image, 3, 2, 1),
    )


@program(
    dynamic=({0: N, 1: M},),
    sizes={f"n{n}m{m}": lambda n=n, m=m: (torch.randn(n, m, 8),) for n, m in ((3, 5), (2, 9), (4, 33))},
    parts=lambda: {"qkv": nn.Linear(8, 24)},
)
def dynamic_attention(self, x):
    batch, length, width = x.shape
    query, key, value = self.qkv(x).view(batch, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
    causal = torch.full((length, length), float("-inf")).triu(1)
    positions = torch.arange(length).unsqueeze(0).expand(batch, -1)
    mixed = ((query @ key.transpose(-1, -2)) * 0.5 + causal).softmax(-1) @ value
    rows = torch.cat([mixed.transpose(1, 2).reshape(batch, length, width), x], -1)
    return rows, positions, rows[:, -1], rows.chunk(2, -1)[0].mean(1), torch.stack([x, x * length]), x.flip(1).cumsum(1), F.one_hot(positions % 3, 3)


@program(dynamic=({0: Dim("n", min=4, max=64)}, None), sizes={f"n{n}": lambda n=n: (torch.randn(n, 4), torch.randint(0, 2, (3,))) for n in (5, 4, 12)})
def dynamic_selection(self, x, rows):
    chosen = x[x[:, 0] > 0]
    return (
        chosen,
        chosen.sum(0),
        x.index_select(0, rows),
        x.sort(0)[0],
        x.topk(2, 0)[0],
        x.split(x.shape[0] - 1)[0],
        x.repeat(2, 1),
        x.tile(1, 2),
        x.masked_fill(x > 1, 0.0),
    )
