"""What the ResNets share (He et al., arXiv:1512.03385): basic and bottleneck blocks, in stages of growing width.

Where a block changes the shape, a 1x1 convolution with batch norm projects its input (the paper's option B); in the
D form behind a mean of the stride's windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgecnn.geometry import Pair
from edgecnn.nn.forms import conv, is_small, scaled
from edgecnn.recipe.layers import Dense, GlobalAveragePool, Layer, MaxPool, Residual

EXPANSION = 4
"""How many times as many channels a bottleneck gives as it works on."""
CIFAR_STAGES = (16, 32, 64)
IMAGENET_STAGES = (64, 128, 256, 512)

Block = Callable[[str, int, int, bool], Residual]


def cifar_resnet(blocks: int, classes: int, width: float) -> tuple[Layer, ...]:
    """Section 4.2's nets for small pictures, 6 * blocks + 2 layers deep: three stages of basic blocks."""
    stages = [scaled(filters, width) for filters in CIFAR_STAGES]
    made = [conv("stem", stages[0], 3, 1), *staged(basic, stages, [blocks] * 3, stages[0])]
    return (*made, GlobalAveragePool(name="pool"), Dense(units=classes, name="classifier"))


def imagenet_resnet(
    block: Block, expansion: int, counts: Sequence[int], classes: int, width: float, size: Pair
) -> tuple[Layer, ...]:
    """Table 1's nets: a 7x7 stem and a max pool of stride 2 each, four stages.

    For pictures of less than 64 rows or columns the stem is 3x3 with stride 1, and there is no pool.
    """
    stages = [scaled(filters, width) for filters in IMAGENET_STAGES]
    stem: list[Layer] = [conv("stem", stages[0], 3, 1)]
    if not is_small(size):
        stem = [conv("stem", stages[0], 7, 2), MaxPool(size=(3, 3), stride=(2, 2), padding="same", name="stem_pool")]
    made = [*stem, *staged(block, stages, counts, stages[0], expansion)]
    return (*made, GlobalAveragePool(name="pool"), Dense(units=classes, name="classifier"))


def resnet_d(
    block: Block, expansion: int, counts: Sequence[int], classes: int, width: float, size: Pair
) -> tuple[Layer, ...]:
    """The same with three 3x3 in the stem, the first two half as wide, and averages in front of strided projections.

    Source: "Bag of Tricks for Image Classification", He et al., arXiv:1812.01187, section 4, form D. For pictures of
    less than 64 rows or columns the stem has stride 1, and there is no pool.
    """
    stages = [scaled(filters, width) for filters in IMAGENET_STAGES]
    half, stride = scaled(IMAGENET_STAGES[0] // 2, width), 1 if is_small(size) else 2
    stem: list[Layer] = [conv("stem1", half, 3, stride), conv("stem2", half, 3, 1), conv("stem3", stages[0], 3, 1)]
    if not is_small(size):
        stem.append(MaxPool(size=(3, 3), stride=(2, 2), padding="same", name="stem_pool"))
    blocks = [
        made.model_copy(update={"shortcut": "average"}) if made.shortcut == "conv" else made
        for made in staged(block, stages, counts, stages[0], expansion)
    ]
    return (*stem, *blocks, GlobalAveragePool(name="pool"), Dense(units=classes, name="classifier"))


def staged(
    block: Block, stages: Sequence[int], counts: Sequence[int], channels: int, expansion: int = 1
) -> Iterator[Residual]:
    """All blocks; the first of each stage but the first halves rows and columns."""
    for stage, (filters, count) in enumerate(zip(stages, counts, strict=True), start=1):
        for i in range(count):
            stride = 2 if i == 0 and stage > 1 else 1
            yield block(f"stage{stage}_block{i + 1}", filters, stride, stride == 1 and channels == filters * expansion)
            channels = filters * expansion


def basic(name: str, filters: int, stride: int, keeps: bool) -> Residual:
    """Two 3x3 convolutions."""
    body = (conv("conv1", filters, 3, stride), conv("conv2", filters, 3, 1, "linear"))
    return _residual(name, body, keeps)


def bottleneck(name: str, filters: int, stride: int, keeps: bool) -> Residual:
    """1x1 down, 3x3 (which strides, as in torchvision's nets), 1x1 up."""
    body = (
        conv("reduce", filters, 1, 1),
        conv("conv", filters, 3, stride),
        conv("expand", EXPANSION * filters, 1, 1, "linear"),
    )
    return _residual(name, body, keeps)


def _residual(name: str, body: tuple[Layer, ...], keeps: bool) -> Residual:
    return Residual(layers=body, shortcut="identity" if keeps else "conv", activation="relu", name=name)
