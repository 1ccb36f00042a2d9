"""Blocks of layers: branches, sums and gates."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from edgecnn.recipe.layers.common import Activation, Count, Layer, Pair


class Residual(Layer):
    """Add the input to what `layers` make of it; where the shapes differ, `shortcut: conv` projects it first.

    `shortcut: average` takes the mean of each window of the stride before it projects, so that no pixel is passed over
    (ResNet-D, He et al., arXiv:1812.01187).
    """

    nested: ClassVar[tuple[str, ...]] = ("layers",)

    layers: tuple[Any, ...]
    shortcut: Literal["identity", "conv", "average"] = "identity"
    activation: Activation = "linear"


class InvertedResidual(Layer):
    """MobileNetV2's block: 1x1 up by `expansion`, depthwise, 1x1 down to `filters`; each with batch norm.

    The input is added where the stride is 1 and the channels are as many as `filters`.
    """

    filters: Count
    expansion: Annotated[int, Field(ge=1, le=64)] = 6
    stride: Pair = (1, 1)
    kernel: Pair = (3, 3)
    activation: Activation = "relu6"


class Concat(Layer):
    """What each branch makes of the same input, joined along the channels; an empty branch hands it on."""

    nested: ClassVar[tuple[str, ...]] = ("branches",)

    branches: Annotated[tuple[tuple[Any, ...], ...], Field(min_length=2, max_length=64)]


class SqueezeExcite(Layer):
    """Weight each channel by a gate, made of all channels' means by two 1x1 convolutions (arXiv:1709.01507).

    Between them are `filters` values, or one `ratio`-th of the channels.
    """

    ratio: Annotated[int, Field(ge=1, le=1024)] = 4
    filters: Count | None = None
    activation: Activation = "relu"
    gate: Literal["sigmoid", "hard_sigmoid"] = "hard_sigmoid"


class ShuffleUnit(Layer):
    """ShuffleNetV2's unit (arXiv:1807.11164, figure 3): half the channels through 1x1, depthwise, 1x1; then shuffled.

    The other half is handed on; at a stride over 1 both branches take all channels. `filters` is what comes out.
    """

    filters: Annotated[int, Field(ge=2, le=65_536, multiple_of=2)]
    stride: Pair = (1, 1)
