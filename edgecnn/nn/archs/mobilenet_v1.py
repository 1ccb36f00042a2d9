"""MobileNetV1 (Howard et al., arXiv:1704.04861, table 1): a stem and 13 depthwise-separable blocks.

Pictures of less than 64 rows or columns have a stem of stride 1, as github.com/kuangliu/pytorch-cifar does for CIFAR.
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.forms import is_small, scaled
from edgecnn.recipe.layers import Conv, Dense, DepthwiseConv, GlobalAveragePool, Layer

STEM = 32
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""Filters and stride of each."""


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 4.2 M parameters, 569 M multiply-adds.

    At 32 x 32 x 3 and 10 classes: 3.2 M and 46 M.
    """
    stride = 1 if is_small(size) else 2
    stem = Conv(filters=scaled(STEM, width), stride=(stride, stride), batch_norm=True, activation="relu6", name="stem")
    made: list[Layer] = [stem]
    for i, (filters, stride) in enumerate(BLOCKS, start=1):
        made += _block(f"block{i}", scaled(filters, width), stride)
    return (*made, GlobalAveragePool(name="pool"), Dense(units=classes, name="classifier"))


def _block(name: str, filters: int, stride: int) -> list[Layer]:
    return [
        DepthwiseConv(stride=(stride, stride), batch_norm=True, activation="relu6", name=f"{name}_depthwise"),
        Conv(filters=filters, kernel=(1, 1), batch_norm=True, activation="relu6", name=f"{name}_pointwise"),
    ]
