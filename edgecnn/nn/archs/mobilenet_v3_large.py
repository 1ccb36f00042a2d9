"""MobileNetV3-Large (Howard et al., arXiv:1905.02244, table 1)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.mobilenets_v3 import HS, RE, Block, mobilenet_v3
from edgecnn.recipe.layers import Layer

BLOCKS = (
    Block(3, 16, 16, False, RE, 1),
    Block(3, 64, 24, False, RE, 2),
    Block(3, 72, 24, False, RE, 1),
    Block(5, 72, 40, True, RE, 2),
    Block(5, 120, 40, True, RE, 1),
    Block(5, 120, 40, True, RE, 1),
    Block(3, 240, 80, False, HS, 2),
    Block(3, 200, 80, False, HS, 1),
    Block(3, 184, 80, False, HS, 1),
    Block(3, 184, 80, False, HS, 1),
    Block(3, 480, 112, True, HS, 1),
    Block(3, 672, 112, True, HS, 1),
    Block(5, 672, 160, True, HS, 2),
    Block(5, 960, 160, True, HS, 1),
    Block(5, 960, 160, True, HS, 1),
)
FEATURES = 1280


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 5,483,032 parameters, 217 M multiply-adds, as torchvision's."""
    return mobilenet_v3(BLOCKS, FEATURES, classes, width, size)
