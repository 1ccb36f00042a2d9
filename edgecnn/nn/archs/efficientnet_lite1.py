"""EfficientNet-Lite1 (github.com/tensorflow/tpu, models/official/efficientnet/lite)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.efficientnets import efficientnet_lite
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """240 x 240 x 3 and 1000 classes: 5.4 M parameters as published there, 600 M multiply-adds."""
    return efficientnet_lite(1, 1.0, 1.1, 0.2, classes, width, size)
