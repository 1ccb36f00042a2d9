"""ResNet-18 of ResNet-D's form (He et al., arXiv:1812.01187, section 4)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.resnets import basic, resnet_d
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 11,708,744 parameters, as timm's resnet18d, 2.05 G multiply-adds."""
    return resnet_d(basic, 1, (2, 2, 2, 2), classes, width, size)
