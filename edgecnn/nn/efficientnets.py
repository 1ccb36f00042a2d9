"""What the EfficientNet-Lites share: EfficientNet's blocks (arXiv:1905.11946, table 1) without gates, with ReLU6.

Source: github.com/tensorflow/tpu, models/official/efficientnet/lite. Width and depth scale as EfficientNet's, but the
stem and the head keep their channels, and the first and the last group their one block.

Multiply-adds stated are those of convolutions and dense layers, as github.com/d-li14/efficientnet-lite.pytorch counts
them. Google's README prints 3 to 6 % more (407 M for lite0) and does not say what it counts.
"""

from __future__ import annotations

from math import ceil

from edgecnn.geometry import Pair
from edgecnn.nn.forms import conv, is_small, refuse_width, scaled
from edgecnn.recipe.layers import Dense, Dropout, GlobalAveragePool, InvertedResidual, Layer

STEM, HEAD = 32, 1280
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, the stride of the first block, expansion, filters."""


def efficientnet_lite(
    number: int, widen: float, deepen: float, dropout: float, classes: int, width: float, size: Pair
) -> tuple[Layer, ...]:
    """EfficientNet-Lite `number`; UsageError for a width, since the number says it.

    For pictures of less than 64 rows or columns, the stem and the second group have stride 1.
    """
    refuse_width(f"efficientnet_lite{number}", width, "it is chosen by the name, lite0 to lite4")
    small = is_small(size)
    made: list[Layer] = [conv("stem", STEM, 3, 1 if small else 2, "relu6")]
    for group, (count, kernel, first, expansion, filters) in enumerate(GROUPS):
        repeats = count if count == 1 else ceil(count * deepen)
        for i in range(repeats):
            stride = 1 if i or (small and group == 1) else first
            block = InvertedResidual(
                filters=scaled(filters, widen),
                expansion=expansion,
                kernel=(kernel, kernel),
                stride=(stride, stride),
                name=f"block{len(made)}",
            )
            made.append(block)
    return (
        *made,
        conv("head", HEAD, 1, 1, "relu6"),
        GlobalAveragePool(name="pool"),
        Dropout(rate=dropout, name="dropout"),
        Dense(units=classes, name="classifier"),
    )
