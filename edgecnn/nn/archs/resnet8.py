"""ResNet-8, MLPerf Tiny's picture classifier (Banbury et al., arXiv:2106.07597): a CIFAR ResNet of one block a stage.

Theirs has biases in front of its batch norms, and no norm behind its two projections: 78,186 trained parameters.
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.resnets import cifar_resnet
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """The same at each size. At width 1, 32 x 32 x 3 and 10 classes: 78,042 parameters, 12.5 M multiply-adds."""
    return cifar_resnet(1, classes, width)
