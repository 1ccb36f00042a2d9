"""What makes pictures larger: transposed convolutions, and upsampling by whole factors."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from edgecnn.geometry import Margins, Pace, Pair, same_margins
from edgecnn.nn.arithmetic import Transposing
from edgecnn.nn.layers.plan import Plan, Shape, bias, picture, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


def _shares(factors: Pair) -> Pace:
    return Fraction(1, factors[0]), Fraction(1, factors[1])


@plans(words.TransposedConv)
def transposed_conv(word: words.TransposedConv, shape: Shape) -> Plan:
    """F * (K * K * C) weights, each used at every place of the input; the sizes are those of Keras."""
    channels, height, width = picture(shape, "transposed_conv")
    kernel, stride, filters = word.kernel, word.stride, word.filters
    longer = (0, 0)
    if word.padding == "same":
        rows, columns = height * stride[0], width * stride[1]
        margins = same_margins((rows, columns), kernel, stride)
        longer = max(stride[0] - kernel[0], 0), max(stride[1] - kernel[1], 0)
    else:
        rows, columns = (height - 1) * stride[0] + kernel[0], (width - 1) * stride[1] + kernel[1]
        margins = Margins(0, 0, 0, 0)

    def build() -> nn.Module:
        from edgecnn.nn import resampling

        return resampling.transposed_convolution(
            channels,
            filters,
            kernel,
            stride,
            margins,
            longer,
            bias=bias(word),
            batch_norm=word.batch_norm,
            activation=word.activation,
            initializer=word.initializer,
        )

    weights = filters * channels * kernel[0] * kernel[1]
    return Plan(
        "transposed_conv",
        (filters, rows, columns),
        build,
        params=weights + filters * (bias(word) + 2 * word.batch_norm),
        macs=weights * height * width,
        window=(-(-kernel[0] // stride[0]), -(-kernel[1] // stride[1])),
        stride=_shares(stride),
        arithmetic=Transposing(kernel, stride, word.padding, bias=bias(word), batch_norm=word.batch_norm),
    )


@plans(words.Upsample)
def upsample(word: words.Upsample, shape: Shape) -> Plan:
    """Each pixel `size` times; a value between pixels sees two."""
    channels, height, width = picture(shape, "upsample")

    def build() -> nn.Module:
        from edgecnn.nn import resampling

        return resampling.Upsample(word.size, word.interpolation)

    output = (channels, height * word.size[0], width * word.size[1])
    window = (1, 1) if word.interpolation == "nearest" else (2, 2)
    return Plan("upsample", output, build, window=window, stride=_shares(word.size))
