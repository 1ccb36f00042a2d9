"""EfficientNet-Lite4 (github.com/tensorflow/tpu, models/official/efficientnet/lite)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.efficientnets import efficientnet_lite
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """300 x 300 x 3 and 1000 classes: 13.0 M parameters as published there, 2553 M multiply-adds."""
    return efficientnet_lite(4, 1.4, 1.8, 0.3, classes, width, size)
