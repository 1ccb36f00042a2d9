"""Pools: the largest value or the mean of windows or of whole channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
from edgecnn.geometry import Margins, output_size, same_margins, uneven_at_stride_1
from edgecnn.nn.arithmetic import Pooling
from edgecnn.nn.layers.plan import Plan, Shape, fits, picture, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


def _pool(kind: str, word: words.MaxPool, shape: Shape) -> Plan:
    channels, height, width = picture(shape, f"{kind}_pool")
    stride = word.stride or word.size
    margins = same_margins((height, width), word.size, stride) if word.padding == "same" else Margins(0, 0, 0, 0)
    rows, columns = fits(
        (height, width), word.size, output_size((height, width), word.size, stride, margins), f"{kind}_pool"
    )
    if kind == "average" and uneven_at_stride_1(margins, stride):
        raise UsageError("average_pool: an even window can't be 'same' at stride 1; use an odd one, or padding: valid")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.Pool2d(kind, word.size, stride, margins)

    return Plan(
        f"{kind}_pool",
        (channels, rows, columns),
        build,
        window=word.size,
        stride=stride,
        arithmetic=Pooling(word.size, stride, word.padding, margins),
    )


@plans(words.MaxPool)
def max_pool(word: words.MaxPool, shape: Shape) -> Plan:
    """The largest of each window."""
    return _pool("max", word, shape)


@plans(words.AveragePool)
def average_pool(word: words.AveragePool, shape: Shape) -> Plan:
    """The mean of each window."""
    return _pool("average", word, shape)


@plans(words.GlobalAveragePool)
def global_average_pool(word: words.GlobalAveragePool, shape: Shape) -> Plan:
    """[C, H, W] -> [C]."""
    channels, _, _ = picture(shape, "global_average_pool")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.GlobalAveragePool()

    return Plan("global_average_pool", (channels,), build, window=None)


@plans(words.GlobalMaxPool)
def global_max_pool(word: words.GlobalMaxPool, shape: Shape) -> Plan:
    """[C, H, W] -> [C]."""
    channels, _, _ = picture(shape, "global_max_pool")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.GlobalMaxPool()

    return Plan("global_max_pool", (channels,), build, window=None)
