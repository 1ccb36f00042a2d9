"""Layers with weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from edgecnn.recipe.layers.common import Activation, Count, Layer, Pair, pair

Margin = Annotated[int, Field(ge=0, le=512)]
Padding = Literal["same", "valid"] | Annotated[tuple[Margin, Margin], BeforeValidator(pair)]
Initializer = Literal[
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "zeros",
    "ones",
]


class Weighted(Layer):
    """What layers with weights share; `bias` is left out where batch norm follows, unless said otherwise.

    `initializer` is one of Keras's; without it, He's for what an activation follows.
    """

    batch_norm: bool = False
    bias: bool | None = None
    activation: Activation = "linear"
    initializer: Initializer | None = None


class Convolution(Weighted):
    """What convolutions share."""

    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Padding = "same"
    dilation: Pair = (1, 1)

    @model_validator(mode="after")
    def _one_of_two(self) -> Convolution:
        if max(self.stride) > 1 and max(self.dilation) > 1:
            raise ValueError("stride and dilation can't both be above 1, as in Keras")
        return self


class DepthwiseConv(Convolution):
    """A 2-D convolution of each channel with `multiplier` kernels of its own."""

    multiplier: Count = 1


class Conv(Convolution):
    """A 2-D convolution over all channels, or over those of each of `groups` by themselves."""

    filters: Count
    groups: Count = 1


class PointwiseConv(Weighted):
    """A 1x1 convolution."""

    filters: Count
    stride: Pair = (1, 1)


class Pointwise(PointwiseConv):
    """The same, in short."""


class SeparableConv(Convolution):
    """A depthwise convolution, then a 1x1 one; as in Keras nothing stands between them."""

    filters: Count
    multiplier: Count = 1


class TransposedConv(Weighted):
    """A convolution turned round, which makes a picture `stride` times as large (`same`), or a little larger still."""

    filters: Count
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Literal["same", "valid"] = "same"


class Dense(Weighted):
    """A fully connected layer."""

    units: Count
