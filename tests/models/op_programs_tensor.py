"""Programs of tensor operators: in-place forms, views, indexing, matrix products, norms, pooling, resizing, recurrent layers, creation, special values."""

import torch
import torchvision
from op_program import COLUMNS, IMAGE, INTS, MASK, MORE_INTS, ROWS, SERIES, VOLUME, X, Y, Z, program
from torch import nn
from torch.nn import functional as F

aten = torch.ops.aten


# In-place operators and writes through views


@program(X, Y)
def inplace_unary(self, x, y):
    outputs = [x.clone() for _ in range(9)]
    aten.relu_(outputs[0])
    aten.sigmoid_(outputs[1])
    aten.hardswish_(outputs[2])
    aten.silu_(outputs[3])
    aten.hardtanh_(outputs[4], -0.5, 0.7)
    aten.leaky_relu_(outputs[5], 0.2)
    aten.clamp_(outputs[6], -0.3, 0.9)
    aten.zero_(outputs[7])
    aten.fill_(outputs[8], 2.5)
    return outputs


@program(X, Z)
def inplace_binary(self, x, z):
    a, b, c, d, e = (x.clone() for _ in range(5))
    a.add_(z, alpha=2)
    b.sub_(z)
    c.mul_(z)
    d.div_(z.abs() + 1)
    e.fill_(z[0])
    return a, b, c, d, e, x + z


@program(X, Y, ROWS, COLUMNS, MASK)
def inplace_index(self, x, y, rows, columns, mask):
    a, b, c, d, e, f, g = (x.clone() for _ in range(7))
    a.index_copy_(0, rows, y)
    b.index_add_(1, columns, y[:, :3], alpha=0.5)
    c.index_fill_(1, columns, -3.0)
    d[rows, columns] = torch.tensor([7.0, 8.0, 9.0])
    e.masked_fill_(mask, 4.0)
    f.scatter_(1, columns.unsqueeze(0), -1.0)
    g.index_put_((rows[[0, 0, 1]], columns[[1, 1, 2]]), torch.ones(3), accumulate=True)
    return a, b, c, d, e, f, g


@program(X, MASK)
def masked_assignment(self, x, mask):
    """A boolean index is written through; its size is never needed."""
    a, b = x.clone(), x.clone()
    a[mask] = 0.25
    b[b < 0] = -1.0
    return a, b


@program(X, Y)
def inplace_views(self, x, y):
    a = x.clone()
    a[:, 0].add_(1)
    a[1:, 2:4].mul_(y[1:, 2:4])
    a.t()[3].copy_(y[:, 0])
    b = x.clone()
    row = b[1]
    b.add_(10)
    c = x.clone().view(15)
    c[::4] = 5.0
    d = x.clone()
    d.diagonal().zero_()
    e = x.clone()
    for part in e.split([2, 3], dim=1):
        part.sub_(part.mean())
    return a, b, row, c, d, e


@program(X, Y)
def inplace_overlap(self, x, y):
    """Reads of a view before and after the base changes."""
    a = x.clone()
    first = a[0] * 1
    head = a[0]
    a[0] = head + a[1]
    a[1:].copy_(a[:2].clone())
    return first, head, a, a.expand(2, 3, 5)[1]


@program(X, Y)
def input_mutation(self, x, y):
    before = x.sum()
    x.add_(y)
    y[0].zero_()
    return before, x * 2, y.sum(0)


@program(X)
def out_variants(self, x):
    y, z = torch.empty_like(x), torch.empty(3, 5)
    torch.exp(x, out=y)
    aten.add.out(x, y, out=z)
    return y, z


@program(X, torch.arange(6))
def inplace_integers(self, x, n):
    a, b = n.clone(), n.clone()
    a += 3
    a *= 2
    b &= 5
    b |= 8
    b <<= 1
    b >>= 2
    b ^= 3
    return a, b, a // 4, a % 4


@program(X)
def inplace_dropout(self, x):
    a, b = x.clone(), x.clone()
    aten.dropout_(a, 0.5, False)
    return a, F.dropout(b, 0.3, False), F.alpha_dropout(x, 0.3, False), F.rrelu(x, 0.1, 0.3, False), torch.feature_dropout(x, 0.3, False)


@program(X.abs() + 0.1, Y.abs() + 0.1)
def inplace_rare(self, x, y):
    """Each on a copy of its own; the decomposed form shows only their functional counterparts."""
    unary = (
        "abs_ neg_ exp_ sqrt_ rsqrt_ log_ sin_ cos_ tanh_ erf_ floor_ round_ reciprocal_ square_ elu_ gelu_ hardsigmoid_ logical_not_ sign_ tril_ triu_".split()
    )
    binary = "atan2_ eq_ gt_ le_ pow_ fmod_ remainder_ copysign_ floor_divide_".split()
    outputs = [getattr(aten, name)(x.clone()) for name in unary] + [getattr(aten, name)(x.clone(), y) for name in binary]
    outputs += [
        x.clone().cumsum_(1),
        x.clone().clamp_min_(0.4),
        x.clone().clamp_max_(0.8),
        x.clone().lerp_(y, 0.3),
        x.clone().mul_(2),
        x.clone().div_(3),
        x.clone().pow_(2),
    ]
    outputs += [
        x.clone().addcmul_(x, y, value=0.5),
        x.clone().addcdiv_(x, y),
        x[:, :3].clone().addmm_(x, y.t()),
        x.clone().unsqueeze_(0),
        x.clone().t_(),
        x.clone().transpose_(0, 1),
    ]
    return outputs


# Views, indexing, layout


@program(X, INTS)
def copies_and_casts(self, x, n):
    constant = torch.tensor([1.5, -2.0, 0.25, 3.0, 4.0])
    values = [aten.alias(x), x.detach(), aten.lift_fresh_copy(x), x.type_as(n), n.type_as(x), x + constant, torch.zeros(3, 5).copy_(x), aten.copy(x, constant)]
    values += [
        aten._to_copy(x, dtype=torch.float16),
        x.to(torch.int32),
        n.to(torch.bool),
        x.double(),
        n.to(torch.uint8),
        x.to("cpu"),
        x.to(n),
        n.float(),
        (x > 0).to(torch.int64),
    ]
    return [
        *values,
        x.view(torch.int32),
        n.view(torch.uint8),
        x.to(torch.bfloat16).float(),
        torch.scalar_tensor(3.5),
        x.clone(memory_format=torch.contiguous_format),
    ]


@program(torch.arange(40.0))
def strided_views(self, x):
    a = torch.as_strided(x, (3, 4), (5, 2), 3)
    windows = x.unfold(0, 7, 3)
    overlapping = torch.as_strided(x, (4, 4), (1, 1), 2)
    flipped = x.view(5, 8).flip([1])[:, ::3].t()
    return (
        a * 2,
        windows.sum(1),
        overlapping @ overlapping,
        flipped.reshape(-1),
        x.view(2, 4, 5).movedim(0, 2).unflatten(1, (5, 1)),
        x.view(5, 8)[..., None, 1:6:2],
    )


@program(X, ROWS, COLUMNS, MASK)
def indexing(self, x, rows, columns, mask):
    cube = torch.stack([x, x + 1, x * 2, -x])
    picked = [
        x[rows],
        x[rows, columns],
        x[:, columns],
        x[rows[:, None], columns],
        cube[:, rows, :][..., columns],
        cube[1:3, rows, columns],
        cube[rows, :, columns],
    ]
    return [
        *picked,
        cube[-1, ..., 2],
        x[None, 1],
        x[[True, False, True]],
        cube[[0, 2]][:, :, [1]],
        x[-ROWS],
        torch.where(mask, x, torch.zeros(())),
        x.take(columns),
    ]


@program(INTS, MORE_INTS)
def integer_bits(self, a, b):
    c = a % 7
    return (
        a & b,
        a | b,
        a ^ b,
        a & 5,
        a << b,
        a >> b,
        a << 2,
        a >> 1,
        ~a,
        (a > 0) & (b > 1),
        (a > 0) | (b > 1),
        (a > 0) ^ (b > 1),
        a // 3,
        a % 3,
        c.bitwise_and(3),
        c | 4,
    )


@program(torch.rand(4, 4), torch.randn(2, 12, 20), IMAGE)
def rearrange(self, x, columns, image):
    windows = F.fold(columns, (5, 7), (2, 3))
    return (
        windows,
        F.unfold(image, (3, 2), padding=1, stride=2, dilation=(1, 2)),
        F.pixel_shuffle(image, 2),
        x.rot90(),
        x.tril(1),
        x.triu(-1),
        torch.hstack([x, x]),
        x.repeat_interleave(2, 1),
    )


# Matmul, norm, convolution


@program(torch.randn(4, 6), torch.randn(5, 6), torch.randn(3, 4, 6), torch.randn(3, 5, 6))
def distances(self, x, y, u, v):
    return (
        torch.cdist(x, y),
        aten._cdist_forward(u, v, 1.0, None),
        torch.cdist(u, v, 3.0),
        torch.cdist(x, y, float("inf")),
        aten._trilinear(x, y[:4], x + 1, [], [], [], [1]),
    )


@program(IMAGE, SERIES, torch.randn(4, 4, 3, 3), torch.randn(4), torch.randn(6, 2, 3))
def convolutions(self, image, series, weight, bias, grouped):
    direct = aten.convolution(image, weight, bias, [2, 1], [1, 2], [1, 2], False, [0, 0], 1)
    transposed = aten.convolution(image, weight, None, [2, 2], [1, 0], [1, 1], True, [1, 0], 1)
    return (
        direct,
        transposed,
        F.conv1d(series, grouped, stride=2, padding=1, groups=2),
        F.conv2d(image, weight, bias, padding="same", dilation=2),
        F.conv2d(image[0], weight),
    )


@program(IMAGE, torch.rand(4) + 0.5, torch.randn(4), torch.randn(4), torch.rand(4) + 0.5, torch.randn(6, 4, 3), torch.rand(6, 1, 1) + 0.5)
def norms(self, image, weight, bias, mean, variance, direction, length):
    legit = aten._native_batch_norm_legit_no_training(image, weight, bias, mean, variance, 0.1, 1e-5)[0]
    batch = F.batch_norm(image, mean, variance, weight, bias, False, 0.1, 1e-3)
    return (
        legit,
        batch,
        F.batch_norm(image, mean, variance),
        aten._weight_norm(direction, length, 0),
        F.instance_norm(image, None, None, weight, bias),
        F.rms_norm(image, [9], eps=1e-6),
    )


@program(torch.randn(2, 3, 8, 6), torch.randn(2, 3, 10, 6), torch.randn(2, 3, 10, 4), torch.rand(2, 1, 8, 10) > 0.3)
def attention(self, query, key, value, mask):
    bias = torch.where(mask, 0.5, -2.0)
    causal = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    grouped = F.scaled_dot_product_attention(query.repeat(1, 2, 1, 1), key, value, enable_gqa=True)
    return causal, grouped, F.scaled_dot_product_attention(query, key, value, mask), F.scaled_dot_product_attention(query, key, value, bias, scale=0.3)


@program(torch.randn(6, 5), torch.tensor([0, 4, 1, -100, 2, 3]), torch.rand(5) + 0.5)
def losses(self, logits, labels, weight):
    smooth = F.cross_entropy(logits, labels, weight, label_smoothing=0.1)
    return (
        smooth,
        F.cross_entropy(logits, labels, reduction="sum"),
        F.cross_entropy(logits, logits.softmax(1)),
        F.mse_loss(logits[0], logits[1]),
        F.nll_loss(logits, labels, weight, reduction="none"),
    )


# Pooling and resizing


@program(IMAGE, VOLUME, SERIES)
def pools(self, image, volume, series):
    flat, flat_index = aten.max_pool2d_with_indices(image, [3, 2], [2, 1], [1, 1], [1, 2], True)
    deep, deep_index = aten.max_pool3d_with_indices(volume, [2, 2, 3], [2, 1, 2], [1, 0, 1])
    return (
        flat,
        flat_index,
        deep,
        deep_index,
        F.adaptive_max_pool1d(series, 4),
        F.max_pool1d(series, 3, 2, 1),
        aten._adaptive_avg_pool2d(image, [3, 4]),
        aten._adaptive_avg_pool3d(volume, [2, 3, 4]),
    )


@program(IMAGE, VOLUME, SERIES)
def resize(self, image, volume, series):
    linear = [F.interpolate(series, scale_factor=1.7, mode="linear"), F.interpolate(series, size=5, mode="linear", align_corners=True)]
    cubic = [F.interpolate(image, size=(10, 5), mode="bicubic"), F.interpolate(image, scale_factor=(0.6, 2.0), mode="bicubic", align_corners=True)]
    bilinear = [F.interpolate(image, scale_factor=2.0, mode="bilinear"), F.interpolate(image, size=(3, 20), mode="bilinear", align_corners=True)]
    bilinear += [
        F.interpolate(image, scale_factor=0.7, mode="bilinear", recompute_scale_factor=True),
        F.interpolate(image, size=(4, 5), mode="bilinear", antialias=True),
    ]
    nearest = [
        F.interpolate(series, scale_factor=2.3),
        F.interpolate(image, size=(5, 13)),
        F.interpolate(volume, scale_factor=1.5),
        F.interpolate(image, size=(4, 11), mode="nearest-exact"),
    ]
    return linear + cubic + bilinear + nearest + [F.interpolate(volume, size=(7, 4, 9), mode="trilinear")]


@program(IMAGE, torch.rand(2, 5, 6, 2) * 2.4 - 1.2, torch.randn(2, 2, 3), torch.randn(1, 2, 3, 4, 5), torch.rand(1, 2, 3, 4, 3) * 2 - 1)
def grids(self, image, grid, theta, volume, volume_grid):
    sampled = [
        F.grid_sample(image, grid, mode, padding, corners)
        for mode, padding, corners in (("bilinear", "zeros", False), ("nearest", "border", True), ("bilinear", "reflection", True))
    ]
    warped = F.grid_sample(image, F.affine_grid(theta, [2, 4, 5, 6], align_corners=False), align_corners=False)
    return [
        *sampled,
        warped,
        aten.affine_grid_generator(theta, [2, 1, 3, 4], True),
        F.grid_sample(image, grid, "bicubic", "border", False),
        F.grid_sample(volume, volume_grid, align_corners=True),
    ]


@program(
    torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 31], [21, 19, 30, 30], [0, 0, 4, 4]]),
    torch.tensor([0.5, 0.9, 0.3, 0.4, 0.1]),
    torch.randn(2, 3, 16, 16),
)
def boxes(self, boxes, scores, features):
    kept = torchvision.ops.nms(boxes, scores, 0.5)
    regions = torch.cat([torch.tensor([[0.0], [1], [0], [1], [1]]), boxes], 1)
    return kept, boxes[kept], torchvision.ops.roi_align(features, regions, (3, 4), 0.5, 2, True), torchvision.ops.roi_align(features, regions, (2, 2), 0.4)


# Recurrent layers and bags


@program(torch.randn(6, 2, 3), parts=lambda: {"lstm": nn.LSTM(3, 4, num_layers=2, bidirectional=True), "first": nn.LSTM(3, 4, batch_first=True, proj_size=2)})
def lstm(self, x):
    return self.lstm(x), self.first(x.transpose(0, 1))


@program(torch.randn(6, 2, 3), torch.randn(2, 2, 4), parts=lambda: {"gru": nn.GRU(3, 4, num_layers=2), "both": nn.GRU(3, 4, bidirectional=True, bias=False)})
def gru(self, x, h):
    return self.gru(x, h), self.both(x)


@program(torch.randn(6, 2, 3), parts=lambda: {"relu": nn.RNN(3, 4, nonlinearity="relu"), "tanh": nn.RNN(3, 4, num_layers=2, batch_first=True)})
def rnn(self, x):
    return self.relu(x), self.tanh(x)


@program(torch.randn(2, 3), torch.randn(2, 4), parts=lambda: {"lstm": nn.LSTMCell(3, 4), "gru": nn.GRUCell(3, 4), "rnn": nn.RNNCell(3, 4)})
def recurrent_cells(self, x, h):
    return self.lstm(x, (h, h * 2)), self.gru(x, h), self.rnn(x, h)


@program(torch.randint(0, 9, (12,)), torch.tensor([0, 4, 4, 9]), torch.rand(12), parts=lambda: {"table": nn.Embedding(9, 5)})
def bags(self, tokens, offsets, weights):
    table = self.table.weight
    weighted = F.embedding_bag(tokens, table, offsets, mode="sum", per_sample_weights=weights)
    padded = F.embedding_bag(tokens, table, offsets, mode="mean", padding_idx=3)
    return weighted, padded, F.embedding_bag(tokens, table, offsets, mode="max"), F.embedding_bag(tokens.view(3, 4), table, mode="mean")


@program(X, INTS, COLUMNS)
def scalar_overloads(self, x, n, columns):
    compared = [n == 3, n <= 2, n >= 2, n < 1, n > 1, n != 3, x == 0.5, x <= 0.5]
    positions = torch.where(n > 10)
    return [
        *compared,
        *positions,
        2.0**x,
        3 - x,
        x.scatter(1, columns[None], 9.0),
        x.swapaxes(0, 1),
        torch.rsub(x, 2, alpha=3),
        x.clamp_max(0.2),
        torch.where(x > 0, x, 0.5),
    ]


@program(X, Y, INTS, ROWS, VOLUME, torch.randn(2, 4, 2, 3, 1))
def more_overloads(self, x, y, n, rows, volume, kernel):
    """What the smallest samples leave out."""
    moved = [
        x.t().contiguous(),
        x.scatter(1, rows[:, None], y),
        x.slice_scatter(y[:, :2], 1, 1, 5, 2),
        *x.sort(dim=1, descending=True, stable=True),
        *x.tensor_split(2, 1),
    ]
    filtered = [F.conv3d(volume, kernel, None, 2, 1), F.max_pool3d(volume, 2, 2, 1), torch.linalg.multi_dot([x, y.t(), x]), torch.gcd(n, n.flip(0))]
    return moved + filtered


@program(X)
def creation(self, x):
    ramp = [torch.arange(7), torch.arange(2, 9), torch.arange(1.0, 3.0, 0.25), torch.linspace(-1, 1, 9), torch.logspace(0, 2, 5), torch.eye(4), torch.eye(3, 5)]
    filled = [
        torch.zeros(2, 3),
        torch.ones(4, dtype=torch.int64),
        torch.full((2, 2), 7),
        torch.full_like(x, 0.5),
        x.new_zeros(2),
        x.new_ones(3),
        x.new_full((2, 2), -1.0),
    ]
    windows = [
        torch.hann_window(9),
        torch.bartlett_window(8),
        torch.hann_window(6, periodic=False),
        torch.tril_indices(3, 4),
        torch.triu_indices(4, 3, 1),
        torch.vander(x[0, :3]),
    ]
    shaped = [torch.empty(2, 3).fill_(1.5), torch.empty_like(x).zero_(), aten.empty_permuted([2, 3], [1, 0]).fill_(4), x.new_empty(3).copy_(x[:, 0])]
    return ramp + filled + windows + shaped + [torch.cartesian_prod(x[0], x[1, :2]), *torch.meshgrid(x[0], x[:, 0], indexing="xy")]


@program(torch.rand(20) * 6 - 3)
def special(self, x):
    noise = aten.rrelu_with_noise_functional(x, torch.zeros(20), 0.1, 0.3, False)[0]
    return (
        torch.special.i0(x),
        noise,
        torch.special.expit(x),
        torch.special.logit(x.sigmoid()),
        torch.lgamma(x + 4),
        torch.digamma(x + 4),
        x.float_power(2),
        torch.float_power(x.abs(), 0.5),
    )


@program(torch.tensor([3.5, float("nan"), -1.0, float("inf"), -float("inf"), 0.0, -0.0, 2.0]), torch.tensor([1.0, 2.0, float("nan"), 5.0, 3.0, -0.0, 0.0, 2.0]))
def non_finite(self, x, y):
    order = [x.sort()[0], x.argsort(stable=True), x.max(), x.argmax(), x.amax(0), x.cummax(0)[0], x.topk(3)[0], x.nan_to_num(1.0, 2.0, -2.0)]
    pairs = [
        torch.maximum(x, y),
        torch.fmax(x, y),
        torch.minimum(x, y),
        torch.fmin(x, y),
        x.clamp(-1, 1),
        x == y,
        x < y,
        x != y,
        torch.isclose(x, y, equal_nan=True),
    ]
    return (
        order
        + pairs
        + [
            x.isnan(),
            x.isinf(),
            x.isfinite(),
            x.relu(),
            x.sign(),
            x.sigmoid(),
            x.softmax(0),
            x.nansum(),
            torch.where(x > 0, x, y),
            x.to(torch.float16),
            x.any(),
            x.signbit(),
        ]
    )
