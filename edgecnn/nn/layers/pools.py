"""Pools: the largest value or the mean of windows or of whole channels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
from edgecnn.geometry import Margins, output_size, same_margins, uneven_at_stride_1
from edgecnn.nn.arithmetic import Pooling
from edgecnn.nn.layers.plan import Plan, Shape, fits, picture, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


def _pool(kind: str, word: words.MaxPool, shape: Shape, name: str = "") -> Plan:
    name = name or f"{kind}_pool"
    channels, height, width = picture(shape, name)
    stride = word.stride or word.size
    margins = same_margins((height, width), word.size, stride) if word.padding == "same" else Margins(0, 0, 0, 0)
    rows, columns = fits((height, width), word.size, output_size((height, width), word.size, stride, margins), name)
    if kind == "average" and uneven_at_stride_1(margins, stride):
        raise UsageError(f"{name}: an even window can't be 'same' at stride 1; use an odd one, or padding: valid")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.Pool2d(kind, word.size, stride, margins)

    return Plan(
        name,
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


@plans(words.L2Pool)
def l2_pool(word: words.L2Pool, shape: Shape) -> Plan:
    """The root of the mean of each window's squares."""
    mean = _pool("average", word, shape, "l2_pool")

    def build() -> nn.Module:
        from edgecnn.nn import pooling

        return pooling.L2Pool2d(mean.build())

    return replace(mean, type="l2_pool", build=build, island="l2_pool")


@plans(words.StochasticPool)
def stochastic_pool(word: words.StochasticPool, shape: Shape) -> Plan:
    """One value of each window while training, their mean weighted by themselves in evaluation."""
    mean = _pool("average", words.AveragePool(size=word.size, stride=word.stride), shape, "stochastic_pool")

    def build() -> nn.Module:
        from edgecnn.nn import pooling

        return pooling.StochasticPool2d(word.size, word.stride or word.size, mean.build())

    return replace(mean, type="stochastic_pool", build=build, island="stochastic_pool")


@plans(words.FractionalMaxPool)
def fractional_max_pool(word: words.FractionalMaxPool, shape: Shape) -> Plan:
    """floor(size / ratio) windows of 2x2, as evenly as whole pixels allow."""
    channels, height, width = picture(shape, "fractional_max_pool")
    output = int(height / word.ratio[0]), int(width / word.ratio[1])
    if min(height, width) < 2 or min(output) < 1:
        raise UsageError(f"fractional_max_pool: a 2x2 window does not fit a {height}x{width} picture")

    def build() -> nn.Module:
        from edgecnn.nn import pooling

        return pooling.FractionalMaxPool2d((height, width), output)

    ratio = Fraction(height, output[0]), Fraction(width, output[1])
    return Plan("fractional_max_pool", (channels, *output), build, window=(2, 2), stride=ratio)


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
