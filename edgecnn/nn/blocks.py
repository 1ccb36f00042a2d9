"""The torch modules behind the words: TensorFlow's SAME for convolutions and pools, residuals, global maxima.

All take and give float [N, C, H, W] unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

from torch import Tensor, nn
from torch.nn import functional

from edgecnn.errors import UsageError
from edgecnn.geometry import Margins, uneven_at_stride_1
from edgecnn.nn import strided
from edgecnn.nn.initializers import initialize
from edgecnn.nn.means import mean_of_maps
from edgecnn.nn.relu6 import ReLU6

Pair = tuple[int, int]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "relu6": ReLU6,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_swish": nn.Hardswish,
    "gelu": nn.GELU,
    "softmax": partial(nn.Softmax, dim=1),
}


class Conv2d(nn.Conv2d):
    """A convolution with its margins worked out once, for one input size; uneven ones are padded by hand."""

    def __init__(
        self, channels: int, filters: int, kernel: Pair, stride: Pair, margins: Margins, **more: object
    ) -> None:
        self.margins, self.pace = margins, stride
        even = margins.top == margins.bottom and margins.left == margins.right
        padding = (margins.top, margins.left) if even else (0, 0)
        super().__init__(channels, filters, kernel, stride, padding, **more)  # type: ignore[arg-type]
        self._uneven = None if even else (margins.left, margins.right, margins.top, margins.bottom)

    def forward(self, input: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, filters, H', W']."""
        plain = self.training and self.bias is None and max(self.dilation) == 1
        if plain and strided.pays(input, self.weight, self.pace, self.margins):
            return strided.depthwise(input, self.weight, self.pace, self.margins)
        if self._uneven is not None:
            input = functional.pad(input, self._uneven)
        return super().forward(input)


class Pool2d(nn.Module):
    """Max or average pooling; SAME is a margin before and a window that may hang over the end (`ceil_mode`).

    The mean counts only pixels that exist, as TensorFlow's does. At stride 1 `ceil_mode` has nothing to round, so a
    maximum is padded by hand there.
    """

    def __init__(self, kind: str, size: Pair, stride: Pair, margins: Margins) -> None:
        super().__init__()
        self.kind, self.size, self.stride = kind, size, stride
        self.padding = (margins.top, margins.left)
        self.over_the_end = margins.bottom > margins.top or margins.right > margins.left
        self._uneven: tuple[int, int, int, int] | None = None
        if kind == "max" and uneven_at_stride_1(margins, stride):
            self._uneven = (margins.left, margins.right, margins.top, margins.bottom)

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C, H', W']."""
        if self._uneven is not None:
            return functional.max_pool2d(functional.pad(image, self._uneven, value=-inf), self.size, self.stride)
        if self.kind == "max":
            return functional.max_pool2d(image, self.size, self.stride, self.padding, ceil_mode=self.over_the_end)
        return functional.avg_pool2d(
            image, self.size, self.stride, self.padding, ceil_mode=self.over_the_end, count_include_pad=False
        )


class GlobalAveragePool(nn.Module):
    """[N, C, H, W] -> [N, C], the mean of each channel."""

    def forward(self, image: Tensor) -> Tensor:
        return mean_of_maps(image)


class GlobalMaxPool(nn.Module):
    """[N, C, H, W] -> [N, C], the largest value of each channel."""

    def forward(self, image: Tensor) -> Tensor:
        return image.amax(dim=(2, 3))


class Residual(nn.Module):
    """activation(shortcut(x) + body(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, activation: str) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, ACTIVATIONS[activation]()

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C', H', W']."""
        output: Tensor = self.activation(self.shortcut(image) + self.body(image))
        return output


def convolution(
    channels: int,
    filters: int,
    kernel: Pair,
    stride: Pair,
    margins: Margins,
    *,
    groups: int = 1,
    bias: bool = True,
    batch_norm: bool = False,
    activation: str = "linear",
    dilation: Pair = (1, 1),
    initializer: str | None = None,
    multiplier: int = 0,
) -> nn.Sequential:
    """Convolution, batch norm if asked for, activation; He's initialisation (arXiv:1502.01852) unless one is named.

    multiplier: kernels a channel of a depthwise one, by which Keras counts what it takes and makes.
    """
    conv = Conv2d(channels, filters, kernel, stride, margins, groups=groups, bias=bias, dilation=dilation)
    if initializer is None:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out" if groups == 1 else "fan_in", nonlinearity="relu")
    else:
        initialize(conv.weight, initializer, multiplier)
    return completed("conv", conv, nn.BatchNorm2d(filters) if batch_norm else None, activation)


def dense(
    features: int, units: int, *, bias: bool, batch_norm: bool, activation: str, initializer: str | None = None
) -> nn.Sequential:
    """[N, features] -> [N, units], with batch norm if asked for."""
    linear = nn.Linear(features, units, bias=bias)
    if initializer is None:
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu" if activation != "linear" else "linear")
    else:
        initialize(linear.weight, initializer)
    return completed("dense", linear, nn.BatchNorm1d(units) if batch_norm else None, activation)


Weighted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def completed(name: str, layer: Weighted, norm: nn.Module | None, activation: str) -> nn.Sequential:
    """A layer with weights, its bias set to zero, and what follows it."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    parts: list[tuple[str, nn.Module]] = [(name, layer)]
    if norm is not None:
        parts.append(("norm", norm))
    if activation != "linear":
        parts.append(("act", ACTIVATIONS[activation]()))
    return named(parts)


def named(parts: list[tuple[str, nn.Module]]) -> nn.Sequential:
    """A Sequential whose parts keep their names; UsageError for one that its own methods have, such as `half`."""
    sequence = nn.Sequential()
    for name, part in parts:
        if hasattr(nn.Sequential, name) or name in vars(sequence):
            raise UsageError(f"no layer can be called '{name}', which means something to torch; give it another name")
        sequence.add_module(name, part)
    return sequence
