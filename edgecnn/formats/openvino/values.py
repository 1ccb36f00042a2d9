"""Values of a listing as their arithmetic changes them: scales, zero points, the shape of groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecnn.graph.listing import Array, Quantization, Value


def dequantized(kind: str, value: Value, constant: Array) -> Value:
    """An integer value behind `- zero point` or `* scale`."""
    numbers = np.atleast_1d(constant).ravel().astype(np.float64)
    before = value.quantization
    scales = np.ones(1) if before is None else before.scales
    zeros = np.zeros(1, np.int64) if before is None else before.zero_points
    if kind == "Subtract":
        zeros = np.rint(numbers).astype(np.int64)
    else:
        scales = scales * numbers
    count = max(len(scales), len(zeros))
    if len(zeros) != len(scales):
        scales, zeros = np.resize(scales, count), np.resize(zeros, count)
    return replace(value, quantization=Quantization(value.dtype, scales, zeros, 0 if count > 1 else None))


def points(values: Array, grid: Quantization) -> Array:
    """The integers that float weights are rounded to."""
    scales = grid.scales.reshape(-1, *(1,) * (values.ndim - 1)) if grid.per_channel else grid.scales[0]
    return np.asarray(np.clip(np.rint(values / np.where(scales == 0, 1.0, scales)), -128, 127), np.int8)


def merged_groups(weights: Value) -> Value:
    """Weights of groups [G, O, I, h, w] as [G * O, I, h, w]."""
    if len(weights.shape) < 3 or weights.constant is None:
        return weights
    shape = (weights.shape[0] * weights.shape[1], *weights.shape[2:])
    return replace(weights, shape=shape, constant=weights.constant.reshape(shape))


def common_grid(values: list[Value]) -> Quantization | None:
    """The grid that all values lie on, which is then that of what joins them."""
    first = values[0].quantization
    said = [value.quantization for value in values]
    same = (one is not None and first is not None and _says(one) == _says(first) for one in said)
    return first if all(same) else None


def _says(grid: Quantization) -> tuple[str, list[float], list[int]]:
    return grid.dtype, grid.scales.tolist(), grid.zero_points.tolist()
