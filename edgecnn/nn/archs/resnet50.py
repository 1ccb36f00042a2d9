"""ResNet-50 (He et al., arXiv:1512.03385, table 1)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.resnets import EXPANSION, bottleneck, imagenet_resnet
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 25,557,032 parameters, 4.09 G multiply-adds, as torchvision's."""
    return imagenet_resnet(bottleneck, EXPANSION, (3, 4, 6, 3), classes, width, size)
