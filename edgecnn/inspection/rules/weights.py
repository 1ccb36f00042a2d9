"""Quantized weights: sums beyond 32 bits, channels that say nothing, clipped values, one scale for all channels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecnn.graph.listing import WEIGHTED, Array, Operation
from edgecnn.inspection.view import Finding, View

INT32 = 2**31 - 1
INPUT_SPAN = 255
"""How far an 8-bit input may lie from its zero point."""
DEAD = 1e-4
"""Of the median channel's scale."""
CLIPPED_SHARE, CLIPPED_LEAST = 0.05, 8
"""Of a layer's weights that lie on an end of the grid, and how many of one channel."""
SPREAD = 4.0
"""How many times wider the widest channel may be than the median one under a common scale."""


def accumulator_overflows(view: View) -> Iterator[Finding]:
    """|bias| + 255 * sum|w| must fit into the 32 bits in which products are summed."""
    layers = []
    for operation in _quantized(view):
        reach = INPUT_SPAN * np.abs(operation.rows()).sum(axis=1)
        bias = operation.bias
        if bias is not None and bias.constant is not None and bias.constant.dtype == np.int32:
            stored = np.abs(bias.constant.astype(np.int64).ravel())
            reach = reach + (stored if len(stored) == len(reach) else stored.max(initial=0))
        count = int((reach > INT32).sum())
        if count:
            layers.append(_of(operation, count, len(reach)))
    if layers:
        yield Finding(
            "accumulator_overflows",
            "accuracy",
            tuple(layers),
            "sums of products can pass 32 bits",
            "|bias| + 255 * sum|weight| is beyond 2^31 - 1 in these channels, where engines wrap around or saturate; a "
            "channel that hardly varies gets a tiny scale, and so a huge bias",
            "floor the weight scale so that the bias fits (edgecnn export does)",
        )


def dead_channels(view: View) -> Iterator[Finding]:
    """A channel whose scale is next to nothing beside the others', or whose weights are all zero."""
    layers = []
    for operation in _quantized(view):
        rows = operation.rows()
        dead = ~rows.any(axis=1)
        grid = operation.weights.quantization if operation.weights else None
        if grid is not None and len(grid.scales) == len(rows):
            dead |= grid.scales < DEAD * np.median(grid.scales)
        if dead.any():
            layers.append(_of(operation, int(dead.sum()), len(rows)))
    if layers:
        yield Finding(
            "dead_channels",
            "accuracy",
            tuple(layers),
            "channels with nothing in them",
            f"their weights are all zero, or their scale is less than {DEAD:g} of the median channel's: they give "
            "their bias and nothing else, at full cost",
            "prune them (with the inputs that they are to the next layer), or train with less weight decay",
        )


def saturated_weights(view: View) -> Iterator[Finding]:
    """More weights at the ends of the grid than a range from their own maximum gives."""
    layers = []
    for operation in _quantized(view):
        rows, least, most = operation.rows(), *_ends(operation)
        at_ends = (rows <= least) | (rows >= most)
        if at_ends.mean() > CLIPPED_SHARE and at_ends.sum(axis=1).max() >= CLIPPED_LEAST:
            layers.append(f"{operation.name} ({100 * at_ends.mean():.0f} %)")
    if layers:
        yield Finding(
            "saturated_weights",
            "accuracy",
            tuple(layers),
            "weights pressed against the ends of their grid",
            f"more than {100 * CLIPPED_SHARE:.0f} % of them are the largest or smallest integer: their range was "
            "chosen narrower than they are",
            "take weight ranges from their true minimum and maximum, a channel at a time",
        )


def one_scale_for_all(view: View) -> Iterator[Finding]:
    """Per-tensor weights where channels differ widely: the small ones get a handful of levels."""
    layers = []
    for operation in _quantized(view):
        grid = operation.weights.quantization if operation.weights else None
        rows = operation.rows()
        if grid is None or grid.per_channel or len(rows) < 2:
            continue
        widths = np.abs(rows).max(axis=1)
        if widths.max() > SPREAD * max(1.0, float(np.median(widths))):
            layers.append(f"{operation.name} (the median channel uses {int(np.median(widths))} of 127 levels)")
    if layers:
        yield Finding(
            "one_scale_for_all",
            "accuracy",
            tuple(layers),
            "one weight scale for all channels",
            "the widest channel sets the scale, and narrow ones are left with few levels; depthwise layers suffer most",
            "quantize weights per channel (edgecnn export does; per_channel=True in ONNX Runtime's quantizer)",
        )


def _quantized(view: View) -> Iterator[Operation]:
    """Operations with 8-bit weights."""
    for operation in view.listing.operations:
        weights = operation.weights
        if operation.kind in WEIGHTED and weights is not None and weights.integer and weights.constant is not None:
            yield operation


def _ends(operation: Operation) -> tuple[Array, Array]:
    """The least and largest that `rows` can hold; symmetric int8 leaves -128 out."""
    grid = operation.weights.quantization if operation.weights else None
    assert grid is not None, "only quantized ones come here"
    info, zero = np.iinfo(grid.dtype), grid.zero_points[0]
    symmetric = grid.dtype == "int8" and not grid.zero_points.any()
    return np.asarray(int(info.min) + symmetric - zero), np.asarray(int(info.max) - zero)


def _of(operation: Operation, count: int, channels: int) -> str:
    return f"{operation.name} ({count} of {channels} channels)"
