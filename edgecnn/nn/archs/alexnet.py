"""AlexNet in one column (Krizhevsky, arXiv:1404.5997), as torchvision builds it: five convolutions, three dense layers.

Pictures of less than 64 rows or columns have 3x3 kernels throughout, a stem of stride 2 and pools of 2x2.
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.forms import is_small, scaled
from edgecnn.recipe.layers import Conv, Dense, Dropout, Flatten, Layer, MaxPool

FILTERS = (64, 192, 384, 256, 256)
POOLED = (1, 2, 5)
"""The convolutions that a pool follows."""
FEATURES = 4096
DROPOUT = 0.5


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 61,100,840 parameters, 714 M multiply-adds, as torchvision's.

    At 32 x 32 x 3 and 10 classes, a form of our own, counted by hand: 23,272,266 and 62,742,528.
    """
    made: list[Layer] = []
    for number, filters in enumerate(FILTERS, start=1):
        made.append(_conv(number, scaled(filters, width), is_small(size)))
        if number in POOLED:
            window = (2, 2) if is_small(size) else (3, 3)
            made.append(MaxPool(size=window, stride=(2, 2), name=f"pool{number}"))
    made.append(Flatten(name="flatten"))
    for number in (1, 2):
        made.append(Dropout(rate=DROPOUT, name=f"dropout{number}"))
        made.append(Dense(units=scaled(FEATURES, width), activation="relu", name=f"dense{number}"))
    return (*made, Dense(units=classes, name="classifier"))


def _conv(number: int, filters: int, small: bool) -> Layer:
    name = f"conv{number}"
    if number == 1 and not small:  # torch's margin of 2: `same` would make 56 rows of 224, not 55
        return Conv(filters=filters, kernel=(11, 11), stride=(4, 4), padding=(2, 2), activation="relu", name=name)
    stride = (2, 2) if number == 1 else (1, 1)
    kernel = (5, 5) if number == 2 and not small else (3, 3)
    return Conv(filters=filters, kernel=kernel, stride=stride, activation="relu", name=name)
