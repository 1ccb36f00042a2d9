"""ResNet-18 (He et al., arXiv:1512.03385, table 1)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.resnets import basic, imagenet_resnet
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 11,689,512 parameters, 1.81 G multiply-adds, as torchvision's."""
    return imagenet_resnet(basic, 1, (2, 2, 2, 2), classes, width, size)
