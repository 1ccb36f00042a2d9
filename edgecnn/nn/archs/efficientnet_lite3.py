"""EfficientNet-Lite3 (github.com/tensorflow/tpu, models/official/efficientnet/lite)."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.efficientnets import efficientnet_lite
from edgecnn.recipe.layers import Layer


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """280 x 280 x 3 and 1000 classes: 8.2 M parameters as published there, 1383 M multiply-adds."""
    return efficientnet_lite(3, 1.2, 1.4, 0.3, classes, width, size)
