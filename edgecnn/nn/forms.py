"""What named architectures share: how channels scale, which pictures are small, a convolution with batch norm."""

from __future__ import annotations

from edgecnn.errors import UsageError
from edgecnn.geometry import Pair
from edgecnn.recipe.layers import Activation, Conv

SMALL = 64


def is_small(size: Pair) -> bool:
    """Whether the published strides, 32 in all, would leave a picture (height, width) less than two rows or columns."""
    return min(size) < SMALL


def scaled(channels: int, width: float) -> int:
    """The nearest multiple of eight channels, eight at least; one more where that takes away over a tenth.

    Source: `_make_divisible` in tensorflow/models, research/slim/nets/mobilenet/mobilenet.py.
    """
    wanted = channels * width
    made = max(8, int(wanted + 4) // 8 * 8)
    return made + 8 if made < 0.9 * wanted else made


def refuse_width(arch: str, width: float, instead: str = "leave model.width out") -> None:
    """UsageError unless `width` is 1: what was asked for is never left undone in silence."""
    if width != 1.0:
        raise UsageError(f"{arch} has no width (model.width: {width:g}): {instead}")


def conv(name: str, filters: int, kernel: int, stride: int, activation: Activation = "relu") -> Conv:
    """A square convolution with batch norm."""
    return Conv(
        filters=filters,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        batch_norm=True,
        activation=activation,
        name=name,
    )
