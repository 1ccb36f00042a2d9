"""SqueezeNet 1.1 (Iandola et al., arXiv:1602.07360, and its authors' repository), as torchvision builds it.

Fire modules: a 1x1 convolution squeezes the channels, a 1x1 and a 3x3 expand them side by side. The classifier is a
1x1 convolution with ReLU, and the logits are its means. Pictures of less than 64 rows or columns have a stem of stride
1 and pools that keep the last row.
"""

from __future__ import annotations

from edgecnn.geometry import Pair
from edgecnn.nn.forms import is_small, refuse_width
from edgecnn.recipe.layers import Concat, Conv, Dropout, GlobalAveragePool, Layer, MaxPool

STEM = 64
STAGES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
"""What each fire module squeezes to, and what each of its two branches expands to; a pool stands before each stage."""
DROPOUT = 0.5


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """224 x 224 x 3 and 1000 classes: 1,235,496 parameters, 349 M multiply-adds, as torchvision's squeezenet1_1."""
    refuse_width("squeezenet", width)
    small = is_small(size)
    stem = Conv(filters=STEM, padding="valid", stride=(2, 2), activation="relu", name="stem")
    made: list[Layer] = [Conv(filters=STEM, activation="relu", name="stem") if small else stem]
    number = 2  # the stem is the paper's first
    for stage, fires in enumerate(STAGES, start=1):
        padding = "same" if small else "valid"
        made.append(MaxPool.model_validate({"size": 3, "stride": 2, "padding": padding, "name": f"pool{stage}"}))
        for squeezed, expanded in fires:
            made += _fire(f"fire{number}", squeezed, expanded)
            number += 1
    classifier = Conv(filters=classes, kernel=(1, 1), activation="relu", name="classifier")
    return (*made, Dropout(rate=DROPOUT, name="dropout"), classifier, GlobalAveragePool(name="pool"))


def _fire(name: str, squeezed: int, expanded: int) -> list[Layer]:
    narrow = Conv(filters=squeezed, kernel=(1, 1), activation="relu", name=f"{name}_squeeze")
    point = Conv(filters=expanded, kernel=(1, 1), activation="relu", name="expand1x1")
    square = Conv(filters=expanded, kernel=(3, 3), activation="relu", name="expand3x3")
    return [narrow, Concat(branches=((point,), (square,)), name=f"{name}_expand")]
