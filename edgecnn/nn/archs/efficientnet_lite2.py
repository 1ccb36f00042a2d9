"""EfficientNet-Lite2 (github.com/tensorflow/tpu, models/official/efficientnet/lite)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.efficientnets import efficientnet_lite
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """260 x 260 x 3 and 1000 classes: 6.1 M parameters as published there, 860 M multiply-adds."""
    return efficientnet_lite(2, 1.1, 1.2, 0.3, classes, width, size)
