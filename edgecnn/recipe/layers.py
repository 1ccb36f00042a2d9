"""The words a recipe's `layers:` is written in: one model a layer, named as in Keras.

These only say what may be written; nn/layers/ says what a word means (shape, arithmetic, module).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _both(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Ratio = Annotated[float, Field(gt=1.0, le=2.0)]
Size = Annotated[int, Field(ge=1, le=1024)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Pair = Annotated[tuple[Size, Size], BeforeValidator(_pair)]
Margin = Annotated[int, Field(ge=0, le=512)]
Padding = Literal["same", "valid"] | Annotated[tuple[Margin, Margin], BeforeValidator(_pair)]
Activation = Literal[
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "silu",
    "swish",
    "hard_sigmoid",
    "hard_swish",
    "gelu",
    "softmax",
]
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


class Layer(BaseModel):
    """What every word has: an optional name of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    nested: ClassVar[tuple[str, ...]] = ()
    """The keys that hold layers, or lists of them."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = None


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


class BatchNorm(Layer):
    """Batch normalisation on its own; folded into a neighbour or a 1x1 depthwise convolution at export."""


class Relu(Layer):
    """max(x, 0)."""


class Relu6(Layer):
    """min(max(x, 0), 6)."""


class LeakyRelu(Layer):
    """x, or alpha * x below zero; alpha is that of Keras's function `leaky_relu` unless given."""

    alpha: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""


class Tanh(Layer):
    """The hyperbolic tangent."""


class Silu(Layer):
    """x * sigmoid(x) (arXiv:1702.03118)."""


class Swish(Silu):
    """silu by its other name (arXiv:1710.05941)."""


class HardSigmoid(Layer):
    """relu6(x + 3) / 6."""


class HardSwish(Layer):
    """x * relu6(x + 3) / 6 (arXiv:1905.02244)."""


class Gelu(Layer):
    """x * Phi(x), Phi being the normal distribution's; not its tanh approximation (arXiv:1606.08415)."""


class Softmax(Layer):
    """exp(x) / sum(exp(x)) over channels, or features."""


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


class L2Pool(MaxPool):
    """The root of the mean of each window's squares, over the pixels that exist; in int8 files a float island."""


class StochasticPool(Layer):
    """While training one value of each window, drawn with the odds of its size; then their mean, so weighted.

    Values below zero are never drawn. In int8 files a float island. Source: arXiv:1301.3557.
    """

    size: Pair = (2, 2)
    stride: Pair | None = None


class FractionalMaxPool(Layer):
    """The largest values of 2x2 windows that make a picture `ratio` times smaller, as 1.5 or [1.4, 1.6].

    While training the windows' places are drawn anew for each picture; then they lie evenly. Source: arXiv:1412.6071.
    """

    ratio: Annotated[tuple[Ratio, Ratio], BeforeValidator(_both)]


class Upsample(Layer):
    """Make a picture `size` times as large, by repeating pixels or on the lines between them."""

    size: Pair = (2, 2)
    interpolation: Literal["nearest", "bilinear"] = "nearest"


class Dropout(Layer):
    """Zero a share `rate` of the values while training."""

    rate: Annotated[float, Field(ge=0.0, lt=1.0)]


class SpatialDropout(Dropout):
    """Zero a share `rate` of whole channels while training."""


class Flatten(Layer):
    """[C, H, W] -> [C * H * W]."""


class Dense(Weighted):
    """A fully connected layer."""

    units: Count


class Residual(Layer):
    """Add the input to what `layers` make of it; `shortcut: conv` projects it where the shapes differ."""

    nested: ClassVar[tuple[str, ...]] = ("layers",)

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


WORDS: dict[str, type[Layer]] = {
    "conv": Conv,
    "depthwise_conv": DepthwiseConv,
    "separable_conv": SeparableConv,
    "pointwise_conv": PointwiseConv,
    "pointwise": Pointwise,
    "batch_norm": BatchNorm,
    "relu": Relu,
    "relu6": Relu6,
    "leaky_relu": LeakyRelu,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "silu": Silu,
    "swish": Swish,
    "hard_sigmoid": HardSigmoid,
    "hard_swish": HardSwish,
    "gelu": Gelu,
    "softmax": Softmax,
    "max_pool": MaxPool,
    "average_pool": AveragePool,
    "global_average_pool": GlobalAveragePool,
    "global_max_pool": GlobalMaxPool,
    "dropout": Dropout,
    "spatial_dropout": SpatialDropout,
    "flatten": Flatten,
    "dense": Dense,
    "residual": Residual,
    "inverted_residual": InvertedResidual,
    "concat": Concat,
    "squeeze_excite": SqueezeExcite,
    "shuffle_unit": ShuffleUnit,
    "transposed_conv": TransposedConv,
    "upsample": Upsample,
    "l2_pool": L2Pool,
    "stochastic_pool": StochasticPool,
    "fractional_max_pool": FractionalMaxPool,
}

KINDS: dict[type[Layer], str] = {model: word for word, model in WORDS.items()}
