"""ResNet-32 for small pictures (He et al., arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.resnets import cifar_resnet
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """The same at each size. At width 1, 32 x 32 x 3 and 10 classes: 466,906 parameters, 69.1 M multiply-adds."""
    return cifar_resnet(5, classes, width)
