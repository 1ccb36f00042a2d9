"""VGG-11 (Simonyan & Zisserman, arXiv:1409.1556, table 1, column A)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.vggs import vgg
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 132,863,336 parameters, 7.61 G multiply-adds, as torchvision's.

    At 32 x 32 x 3 and 10 classes: 9.75 M and 153 M.
    """
    return vgg((1, 1, 2, 2, 2), classes, width, size)
