"""What each word of `layers:` means: one function a word, from an input shape to a Plan.

A Plan knows its arithmetic without torch; `build()` makes the module, and only that imports torch. A Plan's shape is
(C, H, W), or (C,) once the picture is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from edgecnn.errors import UsageError
from edgecnn.geometry import Margins, Pair, margins_of, output_size, same_margins, uneven_at_stride_1
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """One layer at a known input shape.

    `params` counts trained values and `macs` multiply-adds of convolutions and dense layers (batch norm folded, no
    bias, no pooling). `window` and `stride` are what the receptive field grows by; a global layer has no window.
    """

    type: str
    output: Shape
    build: Callable[[], nn.Module]
    params: int = 0
    macs: int = 0
    window: Pair | None = (1, 1)
    stride: Pair = (1, 1)
    inner: tuple[tuple[str, Plan], ...] = ()


Word = TypeVar("Word", bound=words.Layer)
PLANS: dict[type[words.Layer], Callable[[Any, Shape], Plan]] = {}


def plans(word: type[Word]) -> Callable[[Callable[[Word, Shape], Plan]], Callable[[Word, Shape], Plan]]:
    """Register the function that plans a word; twice is an error."""

    def register(function: Callable[[Word, Shape], Plan]) -> Callable[[Word, Shape], Plan]:
        if word in PLANS:
            raise ValueError(f"{word.__name__} is planned twice")
        PLANS[word] = function
        return function

    return register


def plan_layers(layers: Sequence[words.Layer], shape: Shape) -> tuple[tuple[str, Plan], ...]:
    """Plan layers one after the other; each is named by itself or by its word and its place."""
    planned: list[tuple[str, Plan]] = []
    for i, layer in enumerate(layers):
        name = layer.name or f"{words.KINDS[type(layer)]}_{i + 1}"
        try:
            plan = PLANS[type(layer)](layer, shape)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error
        planned.append((name, plan))
        shape = plan.output
    twice = [name for name, count in Counter(name for name, _ in planned).items() if count > 1]
    if twice:
        raise UsageError(f"two layers are named '{twice[0]}': names must differ")
    return tuple(planned)


def _picture(shape: Shape, word: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise UsageError(
            f"{word} needs a picture [C, H, W], got {list(shape)}: put it before flatten or global pooling"
        )
    return shape[0], shape[1], shape[2]


def _fits(size: Pair, kernel: Pair, output: Pair, word: str) -> Pair:
    if min(output) < 1:
        raise UsageError(f"{word}: a {kernel[0]}x{kernel[1]} window does not fit a {size[0]}x{size[1]} picture")
    return output


def _bias(word: words.Weighted) -> bool:
    return not word.batch_norm if word.bias is None else word.bias


@plans(words.Conv)
def conv(word: words.Conv, shape: Shape) -> Plan:
    """F * (K * K * C) weights, H' * W' * K * K * C * F multiply-adds."""
    return _convolution("conv", word, shape, filters=word.filters, groups=1)


@plans(words.DepthwiseConv)
def depthwise_conv(word: words.DepthwiseConv, shape: Shape) -> Plan:
    """C * K * K weights, H' * W' * K * K * C multiply-adds."""
    return _convolution("depthwise_conv", word, shape, filters=shape[0], groups=shape[0])


def _convolution(kind: str, word: words.Convolution, shape: Shape, filters: int, groups: int) -> Plan:
    channels, height, width = _picture(shape, kind)
    margins = margins_of(word.padding, (height, width), word.kernel, word.stride)
    reached = output_size((height, width), word.kernel, word.stride, margins)
    rows, columns = _fits((height, width), word.kernel, reached, kind)
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
            bias=_bias(word),
            batch_norm=word.batch_norm,
            activation=word.activation,
        )

    return Plan(
        kind,
        (filters, rows, columns),
        build,
        params=weights + filters * (_bias(word) + 2 * word.batch_norm),
        macs=weights * rows * columns,
        window=word.kernel,
        stride=word.stride,
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
            bias=_bias(word),
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
    )


@plans(words.BatchNorm)
def batch_norm(word: words.BatchNorm, shape: Shape) -> Plan:
    """Two trained values a channel."""

    def build() -> nn.Module:
        from torch import nn

        return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])

    return Plan("batch_norm", shape, build, params=2 * shape[0])


def _activation(name: str, shape: Shape) -> Plan:
    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.ACTIVATIONS[name]()

    return Plan(name, shape, build)


@plans(words.Relu)
def relu(word: words.Relu, shape: Shape) -> Plan:
    """Value by value."""
    return _activation("relu", shape)


@plans(words.Relu6)
def relu6(word: words.Relu6, shape: Shape) -> Plan:
    """Value by value."""
    return _activation("relu6", shape)


def _pool(kind: str, word: words.MaxPool, shape: Shape) -> Plan:
    channels, height, width = _picture(shape, f"{kind}_pool")
    stride = word.stride or word.size
    margins = same_margins((height, width), word.size, stride) if word.padding == "same" else Margins(0, 0, 0, 0)
    rows, columns = _fits(
        (height, width), word.size, output_size((height, width), word.size, stride, margins), f"{kind}_pool"
    )
    if kind == "average" and uneven_at_stride_1(margins, stride):
        raise UsageError("average_pool: an even window can't be 'same' at stride 1; use an odd one, or padding: valid")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.Pool2d(kind, word.size, stride, margins)

    return Plan(f"{kind}_pool", (channels, rows, columns), build, window=word.size, stride=stride)


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
    channels, _, _ = _picture(shape, "global_average_pool")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.GlobalAveragePool()

    return Plan("global_average_pool", (channels,), build, window=None)


@plans(words.GlobalMaxPool)
def global_max_pool(word: words.GlobalMaxPool, shape: Shape) -> Plan:
    """[C, H, W] -> [C]."""
    channels, _, _ = _picture(shape, "global_max_pool")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.GlobalMaxPool()

    return Plan("global_max_pool", (channels,), build, window=None)


@plans(words.Dropout)
def dropout(word: words.Dropout, shape: Shape) -> Plan:
    """Nothing at inference."""

    def build() -> nn.Module:
        from torch import nn

        return nn.Dropout(word.rate)

    return Plan("dropout", shape, build)


@plans(words.Flatten)
def flatten(word: words.Flatten, shape: Shape) -> Plan:
    """[C, H, W] -> [C * H * W]."""
    channels, height, width = _picture(shape, "flatten")

    def build() -> nn.Module:
        from torch import nn

        return nn.Flatten()

    return Plan("flatten", (channels * height * width,), build, window=None)


@plans(words.Dense)
def dense(word: words.Dense, shape: Shape) -> Plan:
    """F * U weights and multiply-adds."""
    if len(shape) != 1:
        raise UsageError(f"dense needs features [F], got {list(shape)}: put flatten or a global pool before it")

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.dense(
            shape[0], word.units, bias=_bias(word), batch_norm=word.batch_norm, activation=word.activation
        )

    params = shape[0] * word.units + word.units * (_bias(word) + 2 * word.batch_norm)
    return Plan("dense", (word.units,), build, params=params, macs=shape[0] * word.units, window=None)


@plans(words.Residual)
def residual(word: words.Residual, shape: Shape) -> Plan:
    """The sum of a shortcut and what the inner layers make; shapes must agree."""
    _, height, width = _picture(shape, "residual")
    body = plan_layers(word.layers, shape)
    output = body[-1][1].output
    inner = list(body)
    shortcut: Plan | None = None
    if word.shortcut == "conv":
        if len(output) != 3:
            raise UsageError(f"residual: its layers must keep a picture, they give {list(output)}")
        stride = (-(-height // output[1]), -(-width // output[2]))
        shortcut = conv(words.Conv(filters=output[0], kernel=(1, 1), stride=stride, batch_norm=True), shape)
        inner.append(("shortcut", shortcut))
    reached = shortcut.output if shortcut else shape
    if reached != output:
        raise UsageError(f"residual: {list(reached)} and {list(output)} can't be added; use shortcut: conv")

    def build() -> nn.Module:
        from torch import nn

        from edgecnn.nn import blocks

        inside = blocks.named([(name, plan.build()) for name, plan in body])
        return blocks.Residual(inside, shortcut.build() if shortcut else nn.Identity(), word.activation)

    return Plan(
        "residual",
        output,
        build,
        params=sum(plan.params for _, plan in inner),
        macs=sum(plan.macs for _, plan in inner),
        inner=tuple(inner),
    )
