"""Where int8 is decided: from ranges to grids for tensors, and from weights to integers with scales.

Source of the scheme: Jacob et al., arXiv:1712.05877; per-channel weights as in Krishnamoorthi, arXiv:1806.08342, and
the LiteRT 8-bit quantization specification.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.edit import Array
from edgecnn.graph.program import MOVES_VALUES, Grid, Op, Program
from edgecnn.quantize.ranges import Range

LOGIT_MARGIN = 0.1
"""The logits' range is widened by a tenth: test pictures reach further than calibration ones."""
OFF_THE_TIES = 1.0 / 256.0
"""A sum's range is widened by this much. Two inputs that both reach relu6's 6 make a sum of 12, whose steps are exactly
twice theirs: every other sum falls between two steps, and engines round halves differently (a sixth of all values)."""
BIAS_LIMIT = 2**30
"""A bias takes at most half of int32; the other half is for the products."""
SMALLEST_MULTIPLIER = 2.0**-30
"""XNNPACK refuses input * weight / output scales below 2^-32."""


def decide_grids(program: Program, ranges: Mapping[str, Range]) -> dict[str, Grid]:
    """The grid of each operation's output, by value name."""
    grids = {program.image.value: program.pixels}
    for op in program.ops:
        grids[op.output.value] = _grid_of(op, grids, ranges, final=op.output == program.output)
    return grids


def _grid_of(op: Op, grids: Mapping[str, Grid], ranges: Mapping[str, Range], final: bool) -> Grid:
    inputs = [grids[tensor.value] for tensor in op.inputs]
    if op.type in MOVES_VALUES:
        return inputs[0]
    if op.type == "Softmax":
        return Grid(1.0 / 256.0, 0)
    seen = ranges[op.output.value]
    if final:
        margin = LOGIT_MARGIN / 2 * (seen.high - seen.low)
        seen = Range(seen.low - margin, seen.high + margin)
    if op.type == "Add":
        seen = Range(seen.low * (1 + OFF_THE_TIES), seen.high * (1 + OFF_THE_TIES))
    floor = max(grid.scale for grid in inputs) / 128.0 if op.type == "Add" else 0.0
    return asymmetric(seen, floor)


def asymmetric(seen: Range, floor: float = 0.0) -> Grid:
    """The uint8 grid that covers a range and zero, zero being a point of it; its step is at least `floor`."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    scale = float(np.float32(max((high - low) / 255.0, floor, float(np.finfo(np.float32).tiny) * 2**20)))
    return Grid(scale, int(np.clip(np.rint(-low / scale), 0, 255)))


def quantize_weights(op: Op, given: Grid, made: Grid) -> tuple[Array, Array, Array, Array]:
    """int8 weights and int32 bias with their scales: (weights, scales, bias [F], bias_scales).

    Symmetric. A convolution has one scale a filter, [F]; a dense layer has one for all, [1], as the LiteRT
    specification says: engines older than FULLY_CONNECTED version 12 know no other. The scale of a nearly dead filter
    is held up until its bias fits int32.
    """
    weights, bias = (constant.values.astype(np.float64) for constant in op.constants)
    rows = weights.reshape(len(weights), -1)
    scales = np.maximum(np.abs(rows).max(axis=1) / 127.0, np.abs(bias) / (given.scale * BIAS_LIMIT))
    scales = np.maximum(scales, SMALLEST_MULTIPLIER * made.scale / given.scale).astype(np.float32)
    if op.type == "Gemm":
        scales = scales.max(keepdims=True)
    whole = np.clip(np.rint(rows / scales[:, None].astype(np.float64)), -127, 127)
    bias_scales = (np.float32(given.scale) * scales).astype(np.float32)
    whole_bias = np.rint(bias / bias_scales.astype(np.float64))
    reach = np.abs(whole_bias) + 255.0 * np.abs(whole).sum(axis=1)
    if reach.max() >= 2**31:
        raise UsageError(
            f"layer '{op.name}': sums of products can pass int32 (|bias| + 255 * sum|w| = {reach.max():.3g})"
        )
    return whole.reshape(weights.shape).astype(np.int8), scales, whole_bias.astype(np.int32), bias_scales
