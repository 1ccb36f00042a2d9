"""MobileNetV3-Small (Howard et al., arXiv:1905.02244, table 2)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.mobilenets_v3 import HS, RE, Block, mobilenet_v3
from edgecnn.recipe.layers import Layer

BLOCKS = (
    Block(3, 16, 16, True, RE, 2),
    Block(3, 72, 24, False, RE, 2),
    Block(3, 88, 24, False, RE, 1),
    Block(5, 96, 40, True, HS, 2),
    Block(5, 240, 40, True, HS, 1),
    Block(5, 240, 40, True, HS, 1),
    Block(5, 120, 48, True, HS, 1),
    Block(5, 144, 48, True, HS, 1),
    Block(5, 288, 96, True, HS, 2),
    Block(5, 576, 96, True, HS, 1),
    Block(5, 576, 96, True, HS, 1),
)
FEATURES = 1024


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 2,542,856 parameters, 56.5 M multiply-adds, as torchvision's."""
    return mobilenet_v3(BLOCKS, FEATURES, classes, width, size)
