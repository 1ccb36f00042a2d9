"""A small inception for small pictures, of GoogLeNet's modules (Szegedy et al., arXiv:1409.4842, figure 2 b).

The net is our own. A module joins four branches: a 1x1, a 3x3 and a 5x5 convolution, the latter two behind a 1x1 that
reduces the channels, and a 3x3 max pool with a 1x1. Each convolution has batch norm, as in arXiv:1502.03167, and ReLU.
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.forms import conv, scaled
from edgecnn.recipe.layers import Concat, Dense, Dropout, GlobalAveragePool, Layer, MaxPool

STEM = 32
STAGES = (((16, 16, 32, 8, 8, 8), (24, 24, 48, 8, 16, 8)), ((32, 32, 64, 8, 16, 16), (48, 48, 96, 16, 32, 16)))
"""Of each module, as in the paper's table 1: 1x1, 3x3's reduction, 3x3, 5x5's reduction, 5x5, behind the pool."""
DROPOUT = 0.2


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """The same at each size. At width 1, 32 x 32 x 3 and 10 classes: 130,282 parameters, 13,838,208 multiply-adds.

    Counted by hand in tests/nn/test_architectures.py.
    """
    made: list[Layer] = [conv("stem", scaled(STEM, width), 3, 1)]
    for stage, modules in enumerate(STAGES, start=1):
        made.append(MaxPool(size=(3, 3), stride=(2, 2), padding="same", name=f"pool{stage}"))
        for number, filters in enumerate(modules, start=1):
            made.append(_module(f"stage{stage}_module{number}", [scaled(f, width) for f in filters]))
    return (
        *made,
        GlobalAveragePool(name="pool"),
        Dropout(rate=DROPOUT, name="dropout"),
        Dense(units=classes, name="classifier"),
    )


def _module(name: str, filters: list[int]) -> Layer:
    point, reduced3, square3, reduced5, square5, pooled = filters
    branches = (
        (conv("point", point, 1, 1),),
        (conv("reduce", reduced3, 1, 1), conv("square3", square3, 3, 1)),
        (conv("reduce", reduced5, 1, 1), conv("square5", square5, 5, 1)),
        (MaxPool(size=(3, 3), stride=(1, 1), padding="same", name="pool"), conv("project", pooled, 1, 1)),
    )
    return Concat(branches=branches, name=name)
