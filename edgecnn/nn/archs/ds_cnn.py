"""A depthwise-separable net for small pictures: stem, seven blocks with residuals, global average pooling.

The blocks are MobileNetV1's (arXiv:1704.04861): a 3x3 depthwise and a 1x1 convolution, each with batch norm and ReLU6;
where a block keeps its shape, its input is added to its output (arXiv:1512.03385).
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.recipe.layers import Conv, Dense, DepthwiseConv, GlobalAveragePool, Layer, Residual

STEM = 24
BLOCKS = ((48, 1), (96, 2), (96, 1), (176, 2), (176, 1), (176, 1), (352, 2))


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """The same at each size. At width 1, 32 x 32 x 3 and 10 classes: 12.26 M multiply-adds and 171 k parameters."""
    channels = _scaled(STEM, width)
    made: list[Layer] = [Conv(filters=channels, kernel=(3, 3), batch_norm=True, activation="relu6", name="stem")]
    for i, (filters, stride) in enumerate(BLOCKS, start=1):
        filters = _scaled(filters, width)
        made += _block(f"block{i}", channels, filters, stride)
        channels = filters
    return (*made, GlobalAveragePool(name="pool"), Dense(units=classes, name="classifier"))


def _block(name: str, channels: int, filters: int, stride: int) -> list[Layer]:
    depthwise = DepthwiseConv(kernel=(3, 3), stride=(stride, stride), batch_norm=True, activation="relu6")
    pointwise = Conv(filters=filters, kernel=(1, 1), batch_norm=True, activation="relu6")
    if channels == filters and stride == 1:
        return [Residual(layers=(_named(depthwise, "depthwise"), _named(pointwise, "pointwise")), name=name)]
    return [_named(depthwise, f"{name}_depthwise"), _named(pointwise, f"{name}_pointwise")]


def _named(layer: Layer, name: str) -> Layer:
    return layer.model_copy(update={"name": name})


def _scaled(filters: int, width: float) -> int:
    """A width in steps of eight channels, as MobileNet scales."""
    return max(8, int(filters * width + 4) // 8 * 8)
