"""Grids between operations: biases beyond the output's range, scales that don't fit each other or the specification.

Source of the fixed and equal grids: LiteRT's 8-bit quantization specification.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecnn.graph.listing import Operation, Quantization
from edgecnn.inspection.view import Finding, View

BIAS_TOLERANCE = 1e-4
"""Of sx * sw, as 32-bit floats are multiplied."""
FIXED = {"sigmoid": (1 / 256, 0), "softmax": (1 / 256, 0), "tanh": (1 / 128, 128)}
"""Scale and zero point as uint8 of outputs whose range is known beforehand."""
EQUAL = ("max_pool", "average_pool", "concat", "reshape", "pad", "transpose", "flatten", "slice")
"""Kinds that only move or compare values."""
SATURATED = 0.25
"""Of a layer's channels whose bias alone lies outside."""


def bias_out_of_range(view: View) -> Iterator[Finding]:
    """A channel whose bias lies beyond its output's grid gives its end for most inputs: the range is too narrow."""
    layers = []
    for operation in view.listing.operations:
        made, bias = view.after(operation), operation.bias
        grid = made.quantization if made is not None else None
        if bias is None or bias.constant is None or bias.quantization is None or grid is None or grid.per_channel:
            continue
        values = (bias.constant.astype(np.float64).ravel() - bias.quantization.zero_points) * bias.quantization.scales
        least, most = grid.ends
        beyond = values > most
        if least < 0:  # at zero a relu ends, and means to
            beyond |= values < least
        if beyond.mean() > SATURATED:
            layers.append(f"{operation.name} ({int(beyond.sum())} of {beyond.size} channels)")
    if layers:
        yield Finding(
            "bias_out_of_range",
            "accuracy",
            tuple(layers),
            "output ranges that saturate",
            "the bias alone is beyond the largest value that the output's grid can say, in many channels",
            "calibrate again, with pictures like those that the model will see and the minimum and maximum as they are",
        )


def wrong_bias_scale(view: View) -> Iterator[Finding]:
    """Integer kernels add the bias to the sum of products, so its scale is that of the products."""
    layers = []
    for operation in view.listing.operations:
        bias, weights = operation.bias, operation.weights
        given = operation.inputs[0].quantization if operation.inputs else None
        if bias is None or weights is None or weights.quantization is None or given is None or given.per_channel:
            continue
        if bias.quantization is None:
            continue
        wanted = given.scales[0] * weights.quantization.scales
        found = bias.quantization.scales
        if len(found) not in (1, len(wanted)) or not np.allclose(found, wanted, rtol=BIAS_TOLERANCE, atol=0):
            layers.append(operation.name)
    if layers:
        yield Finding(
            "wrong_bias_scale",
            "accuracy",
            tuple(layers),
            "biases on a scale of their own",
            "an integer kernel adds the bias to products of input and weight: its scale must be theirs, sx * sw; "
            "others are refused, computed in float, or computed wrongly",
            "quantize the bias to int32 with scale sx * sw",
        )


def fixed_grids(view: View) -> Iterator[Finding]:
    """Sigmoid and softmax end on 1/256, tanh on 1/128; TFLite's kernels assume it."""
    layers = []
    for operation in view.listing.operations:
        made = operation.outputs[0].quantization if operation.outputs else None
        if operation.kind in FIXED and made is not None and not made.per_channel:
            scale, zero = FIXED[operation.kind]
            if not np.isclose(made.scales[0], scale, rtol=1e-3) or _unsigned_zero(made) != zero:
                layers.append(f"{operation.name} ({made.scales[0]:.5f} instead of 1/{round(1 / scale)})")
    if layers:
        yield Finding(
            "fixed_grids",
            "accuracy",
            tuple(layers),
            "outputs off the grid that is fixed for them",
            "TFLite's specification fixes sigmoid and softmax at 1/256 and tanh at 1/128; XNNPACK takes others, the "
            "built-in kernels refuse them",
            "set these scales and zero points",
        )


def unequal_grids(view: View) -> Iterator[Finding]:
    """What only moves values needs no new grid: another one costs a rounding and a requantization."""
    layers = []
    for operation in view.listing.operations:
        made = operation.outputs[0].quantization if operation.outputs else None
        if operation.kind in EQUAL and made is not None and _differs(operation, made):
            layers.append(operation.name)
    if layers:
        yield Finding(
            "unequal_grids",
            "speed",
            tuple(layers),
            "values are moved from one grid to another",
            "pools, concatenations and reshapes compute nothing new; with other scales in and out each value is "
            "rounded once more, and TFLite's kernels refuse some of them",
            "give input and output the same scale and zero point",
        )


def _differs(operation: Operation, made: Quantization) -> bool:
    grids = [value.quantization for value in operation.inputs if value.quantization is not None]
    return any(
        not np.isclose(grid.scales[0], made.scales[0], rtol=1e-5) or _unsigned_zero(grid) != _unsigned_zero(made)
        for grid in grids
    )


def _unsigned_zero(grid: Quantization) -> int:
    return int(grid.zero_points[0]) + (128 if grid.dtype == "int8" else 0)
