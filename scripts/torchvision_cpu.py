"""Makes torchvision importable beside a CPU-only PyTorch: import this module before torchvision, or before transformers, which imports it.

PyPI's torchvision wheel carries operators built for CUDA, which do not load there, and without them the package refuses to be imported. Declaring the
operators' schemas is enough to build and export models. `nms` and `roi_align` also compute, so that exported programs have values to be compared with.
"""

import glob
import importlib.util
import os
import sys

import torch

BOX_POOL = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
BOX_POOL_GRAD = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
INPUT_SIZE = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
DEFORM = (
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask"
)

SCHEMAS = [
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align({BOX_POOL}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward(Tensor grad, Tensor rois, {BOX_POOL_GRAD}, {INPUT_SIZE}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool({BOX_POOL}) -> (Tensor, Tensor)",
    f"_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, {BOX_POOL_GRAD}, {INPUT_SIZE}) -> Tensor",
    f"ps_roi_align({BOX_POOL}, int sampling_ratio) -> (Tensor, Tensor)",
    f"_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {BOX_POOL_GRAD}, int sampling_ratio, {INPUT_SIZE}) -> Tensor",
    f"ps_roi_pool({BOX_POOL}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {BOX_POOL_GRAD}, {INPUT_SIZE}) -> Tensor",
    f"deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {DEFORM}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {DEFORM})"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
]


def nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Indices of the boxes (x1, y1, x2, y2) kept by greedy suppression, best score first."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    corner_low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    corner_high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = (corner_high - corner_low).clamp(min=0).prod(2)
    covers = overlap / (area[:, None] + area[None, :] - overlap) > threshold
    kept: list[int] = []
    for candidate in scores.argsort(descending=True, stable=True).tolist():
        if not covers[kept, candidate].any():
            kept.append(candidate)
    return torch.tensor(kept, dtype=torch.int64)


def axis_weights(position: torch.Tensor, size: int) -> torch.Tensor:
    """Rows of a matrix that interpolates linearly at each position; a position outside [-1, size] contributes nothing."""
    inside = (position >= -1) & (position <= size)
    clamped = position.clamp(0, size - 1)
    low = clamped.floor().to(torch.int64)
    high = (low + 1).clamp(max=size - 1)
    fraction = clamped - low
    rows = torch.zeros(len(position), size)
    index = torch.arange(len(position))
    rows.index_put_((index, low), 1 - fraction, accumulate=True)
    rows.index_put_((index, high), fraction, accumulate=True)
    return rows * inside[:, None]


def pooled_axis(start: float, length: float, bins: int, size: int, sampling_ratio: int) -> torch.Tensor:
    """[bins, size]: the mean over each bin's sample points of the interpolation weights."""
    bin_length = length / bins
    samples = sampling_ratio if sampling_ratio > 0 else max(1, int(-(-length // bins)))
    offsets = (torch.arange(samples) + 0.5) * (bin_length / samples)
    positions = start + (torch.arange(bins) * bin_length)[:, None] + offsets[None, :]
    return axis_weights(positions.flatten(), size).view(bins, samples, size).mean(1)


def roi_align(features, boxes, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned):
    """Mask R-CNN's pooling. Bilinear sampling and the mean over a bin separate into the two axes, so a box is W_y · image · W_xᵀ."""
    pooled = []
    for image, x1, y1, x2, y2 in boxes.tolist():
        shift = 0.5 if aligned else 0.0
        left, top, right, bottom = (v * spatial_scale - shift for v in (x1, y1, x2, y2))
        smallest = 0.0 if aligned else 1.0
        rows = pooled_axis(top, max(bottom - top, smallest), pooled_height, features.shape[2], sampling_ratio)
        columns = pooled_axis(left, max(right - left, smallest), pooled_width, features.shape[3], sampling_ratio)
        pooled.append(rows @ features[int(image)] @ columns.T)
    return torch.stack(pooled) if pooled else features.new_zeros(0, features.shape[1], pooled_height, pooled_width)


def shape_of_roi_align(features, boxes, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned):
    return features.new_empty(boxes.shape[0], features.shape[1], pooled_height, pooled_width)


def has_loadable_operators() -> bool:
    folder = os.path.dirname(importlib.util.find_spec("torchvision").origin)
    try:
        for file in glob.glob(f"{folder}/_C*.so"):
            torch.ops.load_library(file)
    except OSError:
        return False
    return True


if not has_loadable_operators():
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    library.impl("nms", nms, "CPU")
    library.impl("roi_align", roi_align, "CPU")
    library.impl("roi_align", shape_of_roi_align, "Meta")

    import torchvision  # importable only now; its modules have each taken the function that says there are no operators

    for module in [m for name, m in sys.modules.items() if name.startswith("torchvision.") and hasattr(m, "_has_ops")]:
        module._has_ops = lambda: True
