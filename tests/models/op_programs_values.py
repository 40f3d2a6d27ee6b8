"""Programs whose values need care: rounding in narrow dtypes, integer and boolean arithmetic, negative borders, states in narrow dtypes."""

import torch
from op_program import IMAGE, INTS, VOLUME, X, Y, program
from torch import nn
from torch.nn import functional as F

aten = torch.ops.aten

GRID, VOLUME_GRID = torch.randn(2, 6, 7, 2), torch.randn(1, 3, 4, 5, 3)
MODES = [(mode, padding, corners) for mode in ("bilinear", "nearest", "bicubic") for padding in ("zeros", "border", "reflection") for corners in (False, True)]


def sampled(image, grid, volume, volume_grid):
    """PyTorch rounds places and weights to the image's dtype."""
    deep = [F.grid_sample(volume, volume_grid, mode, padding, corners) for mode, padding, corners in MODES if mode != "bicubic"]
    return [F.grid_sample(image, grid, mode, padding, corners) for mode, padding, corners in MODES] + deep


@program(IMAGE.half(), GRID.half(), VOLUME.half(), VOLUME_GRID.half())
def sampling_f16(self, image, grid, volume, volume_grid):
    return sampled(image, grid, volume, volume_grid)


@program(IMAGE.bfloat16(), GRID.bfloat16(), VOLUME.bfloat16(), VOLUME_GRID.bfloat16())
def sampling_bf16(self, image, grid, volume, volume_grid):
    return sampled(image, grid, volume, volume_grid)


@program(X.bfloat16(), Y.bfloat16(), X.half(), torch.zeros(2, 3).half())
def narrow_similarity(self, x, y, half, zeros):
    return F.cosine_similarity(x, y), F.cosine_similarity(x, y, 0, 0.5), F.cosine_similarity(half, half.flip(0)), F.cosine_similarity(zeros, zeros)


@program(INTS.int(), INTS.T.int(), torch.arange(6, dtype=torch.int32), INTS > 0)
def integer_contractions(self, x, y, v, mask):
    """One operand is summed as torch.sum does it, to i64; products keep their dtype."""
    equations = [("ij->i", x), ("ij,jk->ik", x, y), ("ij,kl->il", x, y), ("ij,j->i", x, v), ("i,j->ij", v, v), ("ij->", mask)]
    return [*(torch.einsum(*equation) for equation in equations), torch.outer(v > 2, v > 3), torch.tensordot(x, y, 1)]


@program(torch.randn(2, 3, 6, 7), torch.randn(2, 3, 8), INTS[None].int())
def negative_borders(self, image, series, n):
    """Replicated and reflected borders repeat what the whole input has; a circle is closed after the crop."""
    images = [F.pad(image, border, mode) for mode in ("replicate", "reflect", "circular") for border in ((-2, 1, 2, -1), (-1, -2, 1, 1))]
    lines = [F.pad(series, border, mode) for mode in ("replicate", "reflect") for border in ((-3, 2), (4, -7), (-5, 6))]
    return [*images, *lines, F.pad(series, (-8, 9), "replicate"), F.pad(n, (3, -5), "replicate"), F.pad(image, (-2, 1, 0, -3), value=2.0)]


@program(X, torch.tensor([1, 4, 2]), torch.tensor([-1]))
def split_by_data(self, x, bounds, last):
    return [*torch.tensor_split(x, bounds, 1), *torch.tensor_split(x, last)]


@program(torch.tensor([1, 3, 3, 0]), buffers={"table": torch.randn(6, 4) * torch.tensor([0.1, 1, 2, 3, 4, 5])[:, None]})
def embedding_renormalized(self, tokens):
    """Only the rows that are looked up are scaled, and stay so."""
    rows = F.embedding(tokens, self.table, max_norm=1.5)
    return rows, aten.embedding_renorm(self.table, tokens.flip(0), 1.0, 1.0), self.table.clone()


@program(
    torch.randn(2, 4).bfloat16(),
    torch.tensor([1, 0]),
    buffers={"mean": torch.ones(4, dtype=torch.bfloat16), "counts": torch.zeros(3, dtype=torch.float16), "kept": torch.zeros(2, 4, dtype=torch.bfloat16)},
)
def narrow_states(self, x, rows):
    """Every update is rounded where it is stored: ten thousandths added to a bf16 one are lost, as in PyTorch."""
    self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
    self.mean.add_(0.0001)
    self.counts.index_add_(0, rows, torch.ones(2, dtype=torch.float16) / 3)
    self.kept[rows] = x * self.mean
    return x + self.mean, self.counts.clone(), self.kept.sum(1)


@program(X.bfloat16(), X, parts=lambda: {"cell": nn.GRUCell(5, 4).bfloat16()})
def narrow_dropout(self, x, wide):
    a = x.clone()
    aten.dropout_(a, 0.5, False)
    a.add_(1)
    return a, F.dropout(x, 0.0, True), F.dropout(wide, 1.0, True), self.cell(x)
