"""Where int8 is decided: from ranges to grids for tensors, and from weights to integers with scales.

Source of the scheme: Jacob et al., arXiv:1712.05877; per-channel weights as in Krishnamoorthi, arXiv:1806.08342, and
the LiteRT 8-bit quantization specification.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.edit import Array
from edgecnn.graph.program import ACTIVATIONS, MOVES_VALUES, SHIFT, Grid, Op, Program
from edgecnn.quantize import sums
from edgecnn.quantize.averages import is_average
from edgecnn.quantize.ranges import Range

LOGIT_MARGIN = 0.1
"""The logits' range is widened by a tenth: test pictures reach further than calibration ones."""
OFF_THE_TIES = 1.0 / 256.0
"""A sum's range is widened by this much, where its grid can't keep off ties in another way (sums.py), and a mean's. Two
inputs that both reach relu6's 6 make a sum of 12, whose steps are exactly twice theirs: every other sum falls between
two steps, and engines round halves differently (a sixth of all values). So does every fourth mean of four values that
reaches as far as they do."""
RELU6 = 6.0
BIAS_LIMIT = 2**30
"""A bias takes at most half of int32; the other half is for the products."""
WEIGHTS_BITS = (7, 8)
"""What weights may be: 7 bits for x86 machines that add pairs of products in 16 bits (see saturation.py)."""
SMALLEST_MULTIPLIER = 2.0**-30
"""XNNPACK refuses input * weight / output scales below 2^-32."""


FIXED = {
    "Softmax": Grid(1.0 / 256.0, 0),
    "Sigmoid": Grid(1.0 / 256.0, 0),
    "Tanh": Grid(1.0 / 128.0, SHIFT),
    "HardSigmoid": Grid(1.0 / 254.0, 0),
}
"""Grids that the LiteRT specification prescribes; and hard_sigmoid's 0..1, on which a half, its most frequent value, is
no tie between two steps."""
SYMMETRIC_FIXED = {**dict.fromkeys(FIXED, Grid(1.0 / 126.0, SHIFT)), "Tanh": FIXED["Tanh"]}
"""Those of symmetric activations: 0..1 and a little more, a half being a step again; tanh's is symmetric already."""
LARGEST_MULTIPLIER = 2.0**8
"""XNNPACK refuses products of two tensors, or of a tensor and weights, whose scales' product is more than so many
output steps. Without the floor, a layer that is zero on all calibration pictures would have such steps."""


def decide_grids(program: Program, ranges: Mapping[str, Range], activations: str = "asymmetric") -> dict[str, Grid]:
    """The grid of each operation's output, by value name; `activations` is one of ACTIVATION_GRIDS."""
    scheme = ACTIVATION_GRIDS[activations]
    grids = {program.image.value: program.pixels}
    final, shared = _makers_of_logits(program), _shared(program, ranges)
    ranges = {**ranges, **shared}
    bound = final.union(shared)
    free = _free(program, scheme) - bound
    for op in program.ops:
        grids[op.output.value] = _grid_of(op, grids, ranges[op.output.value], scheme, final=op.output.value in final)
        if op.type == "Add" and op.output.value not in bound:
            grids |= _off_the_ties(op, grids, ranges, scheme, free)
    return grids


def _free(program: Program, scheme: ActivationGrids) -> set[str]:
    """The values whose grids nothing depends on but the one operation that takes them.

    Not those that relu6 has cut off: a grid that reaches beyond 6 leaves the cutting to the engine (`_with_margin`).
    """
    taken = Counter(tensor.value for op in program.ops for tensor in op.inputs)
    bound = (*MOVES_VALUES, *scheme.fixed, "Add")
    chosen = [op for op in program.ops if op.type not in bound and "relu6" not in _activations(op)]
    return {op.output.value for op in chosen if taken[op.output.value] == 1}


def _off_the_ties(
    op: Op, grids: Mapping[str, Grid], ranges: Mapping[str, Range], scheme: ActivationGrids, free: Set[str]
) -> dict[str, Grid]:
    """New grids of a sum and perhaps of one input, by which no value is near a tie; none where there are no such."""
    made, least = op.output.value, grids[op.output.value].scale
    one, other = (grids[tensor.value].scale for tensor in op.inputs)
    step = sums.of_two(one, other, least)
    if step is not None:
        return {made: scheme.covering(ranges[made], step)}
    for first, second in (op.inputs, op.inputs[::-1]):
        steps = sums.of_one(grids[first.value].scale, grids[second.value].scale, least)
        if second.value in free and steps is not None:
            names = (second.value, made)
            return {name: scheme.covering(ranges[name], step) for name, step in zip(names, steps, strict=True)}
    return {}


def _shared(program: Program, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """One range for all that a Concat joins and what it makes of it, by value name.

    Each value is then rounded once, and no engine has to bring a tensor from one grid to another: XNNPACK does that
    with 8 bits of the scales' ratio (its qs8-vcvt), which moves up to a hundredth of the values by a step.
    """
    made_by = {op.output.value: op for op in program.ops}
    groups: dict[str, set[str]] = {}
    for op in program.ops:
        if op.type != "Concat":
            continue
        sources = [_source(tensor.value, made_by) for tensor in op.inputs]
        members = {op.output.value, *(name for name in sources if name in made_by and made_by[name].type not in FIXED)}
        group = members.union(*(groups.get(name, set()) for name in members))
        groups |= dict.fromkeys(group, group)
    return {name: _hull([ranges[member] for member in group]) for name, group in groups.items()}


def _source(value: str, made_by: Mapping[str, Op]) -> str:
    """The value whose grid a value lies on, back through operations that only move values."""
    while value in made_by and made_by[value].type in MOVES_VALUES:
        value = made_by[value].inputs[0].value
    return value


def _hull(ranges: Sequence[Range]) -> Range:
    return Range(min(seen.low for seen in ranges), max(seen.high for seen in ranges))


def _makers_of_logits(program: Program) -> set[str]:
    """The output's value, and those that operations which only move values make it from."""
    found = {program.output.value}
    for op in reversed(program.ops):
        if op.output.value in found and op.type in MOVES_VALUES:
            found.add(op.inputs[0].value)
    return found


def _grid_of(op: Op, grids: Mapping[str, Grid], seen: Range, scheme: ActivationGrids, final: bool) -> Grid:
    inputs = [grids[tensor.value] for tensor in op.inputs]
    if op.type in MOVES_VALUES:
        return inputs[0]
    if op.type in scheme.fixed:
        return scheme.fixed[op.type]
    if final:
        seen = _with_margin(op, seen)
    if op.type == "Add" or is_average(op):
        seen = Range(seen.low * (1 + OFF_THE_TIES), seen.high * (1 + OFF_THE_TIES))
    return scheme.covering(seen, _floor(op, inputs))


def _with_margin(op: Op, seen: Range) -> Range:
    """The range of the last values, widened where an activation has not cut it off.

    A grid that ends where the activation does makes it needless. Else engines would have to compute it, and OpenVINO
    leaves out a relu whose zero point is above 0, and cuts relu6 off at the step next to 6 of the grid before it.
    """
    wide = _widened(seen)
    low = wide.low if seen.low < 0.0 else 0.0
    high = wide.high
    return Range(low, min(high, RELU6)) if "relu6" in _activations(op) else Range(low, high)


def _activations(op: Op) -> tuple[str | None, str | None]:
    """What an operation has behind it, and what it is itself."""
    return op.activation, ACTIVATIONS.get(op.type)


def _widened(seen: Range) -> Range:
    margin = LOGIT_MARGIN / 2 * (seen.high - seen.low)
    return Range(seen.low - margin, seen.high + margin)


def logit_grid(seen: Range, activations: str = "asymmetric") -> Grid:
    """The grid for logits that no activation cuts off, from their range over calibration pictures."""
    return ACTIVATION_GRIDS[activations].covering(_widened(seen), 0.0)


def _floor(op: Op, inputs: Sequence[Grid]) -> float:
    """The smallest step that engines can compute an operation's output on."""
    if op.type == "Add":
        return max(grid.scale for grid in inputs) / 128.0
    if op.weights is not None:
        largest = np.abs(op.weights.values).max() / (2 ** (min(WEIGHTS_BITS) - 1) - 1)
        return float(inputs[0].scale * largest / LARGEST_MULTIPLIER)
    return inputs[0].scale * inputs[1].scale / LARGEST_MULTIPLIER if op.type == "Mul" else 0.0


def asymmetric(seen: Range, floor: float = 0.0) -> Grid:
    """The uint8 grid that covers a range and zero, zero being a point of it; its step is at least `floor`."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    scale = _step((high - low) / 255.0, floor)
    return Grid(scale, int(np.clip(np.rint(-low / scale), 0, 255)))


def symmetric(seen: Range, floor: float = 0.0) -> Grid:
    """The grid that covers a range with zero in its middle: int8 with zero point 0, from -128 to 127 steps."""
    return Grid(_step(max(-seen.low, seen.high, 0.0) / 127.0, floor), SHIFT)


def _step(wanted: float, floor: float) -> float:
    return float(np.float32(max(wanted, floor, float(np.finfo(np.float32).tiny) * 2**20)))


@dataclass(frozen=True)
class ActivationGrids:
    """A way to choose them: the grid that covers a range, given the smallest step, and those known beforehand."""

    covering: Callable[[Range, float], Grid]
    fixed: Mapping[str, Grid]


ACTIVATION_GRIDS = {
    "asymmetric": ActivationGrids(asymmetric, FIXED),
    "symmetric": ActivationGrids(symmetric, SYMMETRIC_FIXED),
}
"""What a recipe calls `activations`. Symmetric ones have half the steps where values are never below zero; TensorRT
takes no others (see tensorrt.py)."""


def quantize_weights(op: Op, given: Grid, made: Grid, bits: int) -> tuple[Array, Array, Array, Array]:
    """int8 weights and int32 bias with their scales: (weights, scales, bias [F], bias_scales).

    Symmetric: -127..127 with 8 bits, -63..63 with 7. A convolution has one scale a filter, [F]; a dense layer has one
    for all, [1], as the LiteRT specification says: engines older than FULLY_CONNECTED version 12 know no other. The
    scale of a nearly dead filter is held up until its bias fits int32.
    """
    weights, bias = (constant.values.astype(np.float64) for constant in op.constants)
    rows = weights.reshape(len(weights), -1)
    most = 2 ** (bits - 1) - 1
    scales = np.maximum(np.abs(rows).max(axis=1) / most, np.abs(bias) / (given.scale * BIAS_LIMIT))
    scales = np.maximum(scales, SMALLEST_MULTIPLIER * made.scale / given.scale).astype(np.float32)
    if op.type == "Gemm":
        scales = scales.max(keepdims=True)
    whole = np.clip(np.rint(rows / scales[:, None].astype(np.float64)), -most, most)
    bias_scales = (np.float32(given.scale) * scales).astype(np.float32)
    whole_bias = np.rint(bias / bias_scales.astype(np.float64))
    reach = np.abs(whole_bias) + 255.0 * np.abs(whole).sum(axis=1)
    if reach.max() >= 2**31:
        raise UsageError(
            f"layer '{op.name}': sums of products can pass int32 (|bias| + 255 * sum|w| = {reach.max():.3g})"
        )
    return whole.reshape(weights.shape).astype(np.int8), scales, whole_bias.astype(np.int32), bias_scales
