"""MobileNetV2 (Sandler et al., arXiv:1801.04381, table 2): a stem, 17 inverted residuals and a head of 1280 channels.

For pictures of less than 64 rows or columns, the stem and the second group have stride 1, as the CIFAR models of
github.com/chenyaofo/pytorch-cifar-models.
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.forms import conv, is_small, scaled
from edgecnn.recipe.layers import Dense, Dropout, GlobalAveragePool, InvertedResidual, Layer

STEM, HEAD = 32, 1280
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""The paper's t, c, n, s: expansion, filters, blocks, and the stride of the first of them."""
SMALL_GROUPS = (GROUPS[0], (6, 24, 2, 1), *GROUPS[2:])
DROPOUT = 0.2
"""torchvision's."""


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 3,504,872 parameters, 301 M multiply-adds.

    At 32 x 32 x 3 and 10 classes: 2.24 M and 88 M. The head grows with widths over 1, but doesn't shrink below.
    """
    small = is_small(size)
    made: list[Layer] = [conv("stem", scaled(STEM, width), 3, 1 if small else 2, "relu6")]
    for expansion, filters, count, first in SMALL_GROUPS if small else GROUPS:
        for i in range(count):
            stride = first if i == 0 else 1
            block = InvertedResidual(
                filters=scaled(filters, width), expansion=expansion, stride=(stride, stride), name=f"block{len(made)}"
            )
            made.append(block)
    return (
        *made,
        conv("head", scaled(HEAD, max(1.0, width)), 1, 1, "relu6"),
        GlobalAveragePool(name="pool"),
        Dropout(rate=DROPOUT, name="dropout"),
        Dense(units=classes, name="classifier"),
    )
