"""Values between the graph's order (NCHW, uint8) and the file's (NHWC, int8)."""

from __future__ import annotations

import numpy as np

from edgecnn.graph.edit import Array
from edgecnn.graph.program import Tensor


def feature_order(tensor: Tensor) -> Array:
    """int64 [F]: where each of the file's features stands in the graph's tensor [N, F].

    Features flattened from (C, H, W) come row, column, channel in the file, and channel, row, column in the graph.
    """
    if tensor.flattened is None:
        return np.arange(tensor.shape[1])
    order: Array = np.arange(tensor.shape[1]).reshape(tensor.flattened).transpose(1, 2, 0).reshape(-1)
    return order


def to_file(tensor: Tensor, values: Array) -> Array:
    """A graph's values (float32, or uint8 on the tensor's grid) as the file holds them."""
    moved = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values[:, feature_order(tensor)]
    if values.dtype == np.uint8:
        return np.ascontiguousarray(moved ^ np.uint8(128)).view(np.int8)
    return moved.astype(np.float32)  # float16 files compute in float32


def from_file(tensor: Tensor, values: Array) -> Array:
    """A file's values in the graph's order and type; the reverse of `to_file`."""
    if values.dtype == np.int8:
        values = values.view(np.uint8) ^ np.uint8(128)
    if len(tensor.shape) == 4:  # of a global pool the file holds [N, C]
        return values[:, :, None, None] if values.ndim == 2 else values.transpose(0, 3, 1, 2)
    ordered = np.empty_like(values)
    ordered[:, feature_order(tensor)] = values
    return ordered
