"""What works value by value or on features: batch norm, dropout, flatten, dense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
from edgecnn.nn.arithmetic import Flattening, Multiplying, Normalising
from edgecnn.nn.layers.plan import Plan, Shape, bias, picture, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


@plans(words.BatchNorm)
def batch_norm(word: words.BatchNorm, shape: Shape) -> Plan:
    """Two trained values a channel."""

    def build() -> nn.Module:
        from torch import nn

        return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])

    return Plan("batch_norm", shape, build, params=2 * shape[0], in_place=True, arithmetic=Normalising())


@plans(words.Dropout)
def dropout(word: words.Dropout, shape: Shape) -> Plan:
    """Nothing at inference."""

    def build() -> nn.Module:
        from torch import nn

        return nn.Dropout(word.rate)

    return Plan("dropout", shape, build, in_place=True)


@plans(words.SpatialDropout)
def spatial_dropout(word: words.SpatialDropout, shape: Shape) -> Plan:
    """Nothing at inference; needs a picture."""
    picture(shape, "spatial_dropout")

    def build() -> nn.Module:
        from torch import nn

        return nn.Dropout2d(word.rate)

    return Plan("spatial_dropout", shape, build, in_place=True)


@plans(words.Flatten)
def flatten(word: words.Flatten, shape: Shape) -> Plan:
    """[C, H, W] -> [C * H * W]."""
    channels, height, width = picture(shape, "flatten")

    def build() -> nn.Module:
        from torch import nn

        return nn.Flatten()

    return Plan("flatten", (channels * height * width,), build, window=None, in_place=True, arithmetic=Flattening())


@plans(words.Dense)
def dense(word: words.Dense, shape: Shape) -> Plan:
    """F * U weights and multiply-adds."""
    if len(shape) != 1:
        raise UsageError(f"dense needs features [F], got {list(shape)}: put flatten or a global pool before it")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.dense(
            shape[0],
            word.units,
            bias=bias(word),
            batch_norm=word.batch_norm,
            activation=word.activation,
            initializer=word.initializer,
        )

    params = shape[0] * word.units + word.units * (bias(word) + 2 * word.batch_norm)
    return Plan(
        "dense",
        (word.units,),
        build,
        params=params,
        macs=shape[0] * word.units,
        window=None,
        arithmetic=Multiplying(shape[0], bias(word), word.batch_norm),
    )
