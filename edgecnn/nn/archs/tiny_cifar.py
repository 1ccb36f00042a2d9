"""conv16-pool-conv32-pool-flatten-dense128-dense: the first net of many a CNN course."""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.recipe.layers import Conv, Dense, Flatten, Layer, MaxPool


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """For 32 x 32 x 3 and 10 classes at width 1: 448 + 4,640 + 262,272 + 1,290 = 268,650 parameters."""
    return (
        Conv(filters=max(1, round(16 * width)), kernel=(3, 3), activation="relu"),
        MaxPool(size=(2, 2)),
        Conv(filters=max(1, round(32 * width)), kernel=(3, 3), activation="relu"),
        MaxPool(size=(2, 2)),
        Flatten(),
        Dense(units=max(1, round(128 * width)), activation="relu"),
        Dense(units=classes),
    )
