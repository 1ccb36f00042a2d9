"""Convolutions: plain, depthwise, separable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.geometry import margins_of, output_size
from edgecnn.nn.arithmetic import Convolving, Separated
from edgecnn.nn.layers.plan import Plan, Shape, bias, fits, picture, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


@plans(words.Conv)
def conv(word: words.Conv, shape: Shape) -> Plan:
    """F * (K * K * C) weights, H' * W' * K * K * C * F multiply-adds."""
    return _convolution("conv", word, shape, filters=word.filters, groups=1)


@plans(words.DepthwiseConv)
def depthwise_conv(word: words.DepthwiseConv, shape: Shape) -> Plan:
    """C * K * K weights, H' * W' * K * K * C multiply-adds."""
    return _convolution("depthwise_conv", word, shape, filters=shape[0], groups=shape[0])


def _convolution(kind: str, word: words.Convolution, shape: Shape, filters: int, groups: int) -> Plan:
    channels, height, width = picture(shape, kind)
    margins = margins_of(word.padding, (height, width), word.kernel, word.stride)
    reached = output_size((height, width), word.kernel, word.stride, margins)
    rows, columns = fits((height, width), word.kernel, reached, kind)
    weights = filters * (channels // groups) * word.kernel[0] * word.kernel[1]

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.convolution(
            channels,
            filters,
            word.kernel,
            word.stride,
            margins,
            groups=groups,
            bias=bias(word),
            batch_norm=word.batch_norm,
            activation=word.activation,
        )

    return Plan(
        kind,
        (filters, rows, columns),
        build,
        params=weights + filters * (bias(word) + 2 * word.batch_norm),
        macs=weights * rows * columns,
        window=word.kernel,
        stride=word.stride,
        arithmetic=Convolving(
            word.kernel,
            word.stride,
            word.padding if isinstance(word.padding, str) else "explicit",
            margins,
            groups=groups,
            bias=bias(word),
            batch_norm=word.batch_norm,
        ),
    )


@plans(words.SeparableConv)
def separable_conv(word: words.SeparableConv, shape: Shape) -> Plan:
    """A depthwise convolution without bias, then a 1x1 convolution that carries norm and activation."""
    spatial = depthwise_conv(
        words.DepthwiseConv(kernel=word.kernel, stride=word.stride, padding=word.padding, bias=False), shape
    )
    pointwise = conv(
        words.Conv(
            filters=word.filters,
            kernel=(1, 1),
            batch_norm=word.batch_norm,
            bias=bias(word),
            activation=word.activation,
        ),
        spatial.output,
    )

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.named([("depthwise", spatial.build()), ("pointwise", pointwise.build())])

    return Plan(
        "separable_conv",
        pointwise.output,
        build,
        params=spatial.params + pointwise.params,
        macs=spatial.macs + pointwise.macs,
        window=word.kernel,
        stride=word.stride,
        arithmetic=_separated(spatial, pointwise),
    )


def _separated(spatial: Plan, pointwise: Plan) -> Separated | None:
    """Both halves' arithmetic, where both are convolutions by their own word."""
    if isinstance(spatial.arithmetic, Convolving) and isinstance(pointwise.arithmetic, Convolving):
        return Separated(spatial.arithmetic, pointwise.arithmetic, spatial.output)
    return None
