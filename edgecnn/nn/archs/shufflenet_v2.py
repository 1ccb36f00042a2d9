"""ShuffleNetV2 (Ma et al., arXiv:1807.11164, table 5): a stem, three stages of shuffled halves, a 1x1 convolution.

Pictures of less than 64 rows or columns have a stem of stride 1 and no pool behind it.
"""

from __future__ import annotations

from edgecnn.errors import UsageError
from edgecnn.geometry import Pair
from edgecnn.nn.forms import conv, is_small
from edgecnn.recipe.layers import Dense, GlobalAveragePool, Layer, MaxPool, ShuffleUnit

STEM = 24
REPEATS = (4, 8, 4)
WIDTHS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
"""The published widths: the stages' channels, and the last convolution's."""


def layers(classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """At width 1, 224 x 224 x 3 and 1000 classes: 2,278,604 parameters, 145 M multiply-adds, as torchvision's.

    At width 0.5: 1,366,792 and 40 M. UsageError for widths that were not published.
    """
    if width not in WIDTHS:
        raise UsageError(f"shufflenet_v2 has no width {width:g}: model.width may be 0.5, 1, 1.5 or 2")
    *stages, head = WIDTHS[width]
    made: list[Layer] = [conv("stem", STEM, 3, 1 if is_small(size) else 2)]
    if not is_small(size):
        made.append(MaxPool(size=(3, 3), stride=(2, 2), padding="same", name="stem_pool"))
    for stage, (filters, repeats) in enumerate(zip(stages, REPEATS, strict=True), start=2):  # the stem is the first
        for i in range(1, repeats + 1):
            stride = 2 if i == 1 else 1
            made.append(ShuffleUnit(filters=filters, stride=(stride, stride), name=f"stage{stage}_unit{i}"))
    return (*made, conv("head", head, 1, 1), GlobalAveragePool(name="pool"), Dense(units=classes, name="classifier"))
