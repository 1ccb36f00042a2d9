"""VGG-16 (Simonyan & Zisserman, arXiv:1409.1556, table 1, column D)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.vggs import vgg
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 138,357,544 parameters, 15.47 G multiply-adds, as torchvision's.

    At 32 x 32 x 3 and 10 classes: 15.25 M and 314 M.
    """
    return vgg((2, 2, 3, 3, 3), classes, width, size)
