"""EfficientNet-Lite0 (github.com/tensorflow/tpu, models/official/efficientnet/lite)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.efficientnets import efficientnet_lite
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """224 x 224 x 3 and 1000 classes: 4.7 M parameters as published there, 385 M multiply-adds."""
    return efficientnet_lite(0, 1.0, 1.0, 0.2, classes, width, size)
