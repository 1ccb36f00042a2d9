"""What a model file of any origin holds, whichever its format: its operations in order, with their values and scales.

This is for looking at (inspect), not for changing: a file's pairs of quantizing and dequantizing operations are gone,
and stand as grids on the values between the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]

WEIGHTED = ("conv", "depthwise_conv", "transposed_conv", "dense")
"""Kinds with weights, whose multiply-adds are counted."""
EIGHT_BITS = ("int8", "uint8")


@dataclass(frozen=True)
class Quantization:
    """Integers of `dtype` that stand for scale * (q - zero_point).

    scales, zero_points: float64 and int64 [1], or one a channel along `axis`.
    """

    dtype: str
    scales: Array
    zero_points: Array
    axis: int | None = None

    @property
    def per_channel(self) -> bool:
        """Whether channels have scales of their own."""
        return len(self.scales) > 1

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest value that it can say, of one scale."""
        info, scale, zero = np.iinfo(self.dtype), float(self.scales[0]), int(self.zero_points[0])
        return scale * (int(info.min) - zero), scale * (int(info.max) - zero)


@dataclass(frozen=True)
class Value:
    """What lies between operations, or a constant. `shape` has 0 where the file leaves a size open.

    dtype: numpy's name of what is stored; of a quantized value that of the integers. constant: as stored.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    constant: Array | None = None

    @property
    def bytes(self) -> int:
        """Of the constant as it is stored, scales left out."""
        return 0 if self.constant is None else int(self.constant.nbytes)

    @property
    def integer(self) -> bool:
        """Whether it stands on a grid of 8 bits."""
        return self.quantization is not None and self.quantization.dtype in EIGHT_BITS


@dataclass(frozen=True)
class Window:
    """What a convolution or a pool looks through, in rows and columns."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)


@dataclass(frozen=True)
class Operation:
    """One operation. `type` is the format's own word, `kind` the common one (`conv`, `max_pool`, or the type's own).

    inputs, outputs: values between operations; what is constant stands in `weights`, `bias` and `constants`. aliases:
    every name by which an engine may call it. channel_axis: of the weights, along which output channels lie.
    """

    name: str
    type: str
    kind: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    aliases: tuple[str, ...] = ()
    weights: Value | None = None
    bias: Value | None = None
    constants: tuple[Value, ...] = ()
    channel_axis: int = 0
    window: Window | None = None

    @property
    def params(self) -> int:
        """Trained values: weights, bias, and arrays of further numbers (a batch norm's)."""
        further = (value for value in self.constants if value.dtype.startswith("float") and math.prod(value.shape) > 1)
        return sum(math.prod(value.shape) for value in (self.weights, self.bias, *further) if value is not None)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all its constants in the file."""
        return sum(value.bytes for value in (self.weights, self.bias, *self.constants) if value is not None)

    @property
    def macs(self) -> int:
        """Multiply-adds for one picture, of convolutions and dense layers; open sizes count as 1, unknown shapes 0."""
        ends = self.inputs if self.kind == "transposed_conv" else self.outputs
        if self.weights is None or self.kind not in WEIGHTED or not self.weights.shape or not ends or not ends[0].shape:
            return 0
        slides_over = ends[0]
        channels = self.weights.shape[self.channel_axis]
        if self.kind == "transposed_conv":
            channels = math.prod(self.weights.shape) // max(1, math.prod(self._window_shape()) * channels)
        places = math.prod(max(1, size) for size in slides_over.shape[1:])
        return places * math.prod(self.weights.shape) // max(1, channels)

    def _window_shape(self) -> Pair:
        return self.window.kernel if self.window is not None else (1, 1)

    def rows(self) -> Array:
        """Quantized weights as int64 [channels, the rest], the zero point taken off; ValueError for others."""
        weights = self.weights
        if weights is None or weights.constant is None or weights.quantization is None:
            raise ValueError(f"{self.type} '{self.name}' has no quantized weights")
        stored = np.moveaxis(weights.constant.astype(np.int64), self.channel_axis, 0)
        rows = stored.reshape(stored.shape[0], -1)
        zeros = weights.quantization.zero_points
        return rows - (zeros[:, None] if len(zeros) == len(rows) else zeros[0])


@dataclass(frozen=True)
class Listing:
    """A file's main graph. `channels_last` says in which order its pictures' axes are."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    channels_last: bool = False

    @property
    def quantized(self) -> bool:
        """Whether anything in it stands on a grid of 8 bits."""
        return any(value.integer for operation in self.operations for value in operation.outputs)

    def chw(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A value's shape as [C, H, W] or [N], without the batch."""
        rest = tuple(shape[1:])
        return (rest[2], rest[0], rest[1]) if self.channels_last and len(rest) == 3 else rest


def snake(word: str) -> str:
    """`GlobalAveragePool` -> global_average_pool, `CONV_2D` -> conv_2d: the kind of a type that has no common word."""
    if word.isupper():
        return word.lower()
    return "".join(f"_{letter.lower()}" if letter.isupper() and i else letter.lower() for i, letter in enumerate(word))
