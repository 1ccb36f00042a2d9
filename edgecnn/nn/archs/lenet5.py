"""LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998, figure 2): tanh, mean pools.

Without its trained gains behind the pools; the whole of S2 for the parts that C3 took, a dense layer for its radial
basis functions.
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.forms import refuse_width
from edgecnn.recipe.layers import AveragePool, Conv, Dense, Flatten, Layer

PICTURE = 32
"""Rows and columns of the paper's pictures: smaller ones get their margin back, by `same` in the first layer."""


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """28 x 28 x 1 or 32 x 32 x 1, and 10 classes: 61,706 parameters, 416,520 multiply-adds; counted by hand.

    156 + 2,416 + 48,120 + 10,164 + 850 parameters; 117,600 + 240,000 + 48,000 + 10,080 + 840 multiply-adds.
    """
    refuse_width("lenet5", width)
    padding = "same" if min(size) < PICTURE else "valid"
    return (
        Conv(filters=6, kernel=(5, 5), padding=padding, activation="tanh", name="c1"),  # type: ignore[arg-type]
        AveragePool(name="s2"),
        Conv(filters=16, kernel=(5, 5), padding="valid", activation="tanh", name="c3"),
        AveragePool(name="s4"),
        Flatten(),
        Dense(units=120, activation="tanh", name="c5"),
        Dense(units=84, activation="tanh", name="f6"),
        Dense(units=classes, name="classifier"),
    )
