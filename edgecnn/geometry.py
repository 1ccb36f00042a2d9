"""Where windows fall on a picture: margins and output sizes, in TensorFlow's and torch's terms.

Source: tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

Pair = tuple[int, int]
Pace = tuple[int | Fraction, int | Fraction]
"""Strides, rows and columns; those of what makes a picture n times as large are 1/n."""


@dataclass(frozen=True)
class Margins:
    """Zeros added on each side of a picture, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def spread(kernel: Pair, dilation: Pair) -> Pair:
    """What a dilated kernel covers, (K - 1) * dilation + 1 pixels each way."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def same_margins(size: Pair, kernel: Pair, stride: Pair) -> Margins:
    """TensorFlow's SAME: the output is ceil(size / stride); an odd pixel goes to the bottom and right."""

    def one(length: int, window: int, step: int) -> tuple[int, int]:
        total = max((-(-length // step) - 1) * step + window - length, 0)
        return total // 2, total - total // 2

    top, bottom = one(size[0], kernel[0], stride[0])
    left, right = one(size[1], kernel[1], stride[1])
    return Margins(top, bottom, left, right)


def margins_of(padding: str | Pair, size: Pair, kernel: Pair, stride: Pair) -> Margins:
    """The margins that `same`, `valid` or explicit (rows, columns) mean at this size."""
    if padding == "same":
        return same_margins(size, kernel, stride)
    if isinstance(padding, str):
        return Margins(0, 0, 0, 0)
    return Margins(padding[0], padding[0], padding[1], padding[1])


def output_size(size: Pair, kernel: Pair, stride: Pair, margins: Margins) -> Pair:
    """floor((size + margins - kernel) / stride) + 1, rows and columns; below 1 where the window does not fit."""
    height = (size[0] + margins.top + margins.bottom - kernel[0]) // stride[0] + 1
    width = (size[1] + margins.left + margins.right - kernel[1]) // stride[1] + 1
    return height, width


def uneven_at_stride_1(margins: Margins, stride: Pair) -> bool:
    """Whether an end has more margin than its beginning where the window moves by one: no rounding up gives that."""
    return (stride[0] == 1 and margins.bottom > margins.top) or (stride[1] == 1 and margins.right > margins.left)
