"""What the VGGs share (Simonyan & Zisserman, arXiv:1409.1556, table 1): stages of 3x3 convolutions, each then pooled.

Large pictures have torchvision's form: biases, no batch norm, two dense layers of 4096. Pictures of less than 64 rows
or columns have that of github.com/chenyaofo/pytorch-cifar-models: batch norm, the mean of what is left of the picture,
two dense layers of 512. (Its convolutions also have biases in front of their norms, which do nothing: ours don't.)
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecnn.geometry import Pair
from edgecnn.nn.forms import is_small, scaled
from edgecnn.recipe.layers import Conv, Dense, Dropout, Flatten, GlobalAveragePool, Layer, MaxPool

STAGES = (64, 128, 256, 512, 512)
FEATURES, SMALL_FEATURES = 4096, 512
DROPOUT = 0.5


def vgg(counts: Sequence[int], classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """A VGG with so many convolutions in each of the five stages."""
    small = is_small(size)
    made: list[Layer] = []
    for stage, (filters, count) in enumerate(zip(STAGES, counts, strict=True), start=1):
        for i in range(1, count + 1):
            name = f"stage{stage}_conv{i}"
            made.append(Conv(filters=scaled(filters, width), batch_norm=small, activation="relu", name=name))
        made.append(MaxPool(name=f"pool{stage}", padding="same" if small else "valid"))
    made.append(GlobalAveragePool(name="pool") if small else Flatten(name="flatten"))
    for number in (1, 2):
        units = scaled(SMALL_FEATURES if small else FEATURES, width)
        made.append(Dense(units=units, activation="relu", name=f"dense{number}"))
        made.append(Dropout(rate=DROPOUT, name=f"dropout{number}"))
    return (*made, Dense(units=classes, name="classifier"))
