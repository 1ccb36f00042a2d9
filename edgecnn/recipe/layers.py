"""The words a recipe's `layers:` is written in: one model a layer, named as in Keras.

These only say what may be written; nn/layers/ says what a word means (shape, arithmetic, module).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Size = Annotated[int, Field(ge=1, le=1024)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Pair = Annotated[tuple[Size, Size], BeforeValidator(_pair)]
Margin = Annotated[int, Field(ge=0, le=512)]
Padding = Literal["same", "valid"] | Annotated[tuple[Margin, Margin], BeforeValidator(_pair)]
Activation = Literal["linear", "relu", "relu6"]


class Layer(BaseModel):
    """What every word has: an optional name of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = None


class Weighted(Layer):
    """What layers with weights share; `bias` is left out where batch norm follows, unless said otherwise."""

    batch_norm: bool = False
    bias: bool | None = None
    activation: Activation = "linear"


class Convolution(Weighted):
    """What convolutions share."""

    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Padding = "same"


class DepthwiseConv(Convolution):
    """A 2-D convolution of each channel with a kernel of its own."""


class Conv(Convolution):
    """A 2-D convolution over all channels."""

    filters: Count


class SeparableConv(Conv):
    """A depthwise convolution, then a 1x1 one; as in Keras nothing stands between them."""


class BatchNorm(Layer):
    """Batch normalisation on its own; folded into a neighbour or a 1x1 depthwise convolution at export."""


class Relu(Layer):
    """max(x, 0)."""


class Relu6(Layer):
    """min(max(x, 0), 6)."""


class MaxPool(Layer):
    """The largest value of each window; `stride` is the window's size unless given."""

    size: Pair = (2, 2)
    stride: Pair | None = None
    padding: Literal["same", "valid"] = "valid"


class AveragePool(MaxPool):
    """The mean of each window, over the pixels that exist (padding is not counted, as in TensorFlow)."""


class GlobalAveragePool(Layer):
    """The mean of each channel: [C, H, W] -> [C]."""


class GlobalMaxPool(Layer):
    """The largest value of each channel: [C, H, W] -> [C]."""


class Dropout(Layer):
    """Zero a share `rate` of the values while training."""

    rate: Annotated[float, Field(ge=0.0, lt=1.0)]


class Flatten(Layer):
    """[C, H, W] -> [C * H * W]."""


class Dense(Weighted):
    """A fully connected layer."""

    units: Count


class Residual(Layer):
    """Add the input to what `layers` make of it; `shortcut: conv` projects it where the shapes differ."""

    layers: tuple[Any, ...]
    shortcut: Literal["identity", "conv"] = "identity"
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


WORDS: dict[str, type[Layer]] = {
    "conv": Conv,
    "depthwise_conv": DepthwiseConv,
    "separable_conv": SeparableConv,
    "batch_norm": BatchNorm,
    "relu": Relu,
    "relu6": Relu6,
    "max_pool": MaxPool,
    "average_pool": AveragePool,
    "global_average_pool": GlobalAveragePool,
    "global_max_pool": GlobalMaxPool,
    "dropout": Dropout,
    "flatten": Flatten,
    "dense": Dense,
    "residual": Residual,
    "inverted_residual": InvertedResidual,
}

KINDS: dict[type[Layer], str] = {model: word for word, model in WORDS.items()}
