"""What the two MobileNetV3 share (Howard et al., arXiv:1905.02244): blocks with an optional gate, and the head.

Built as torchvision does: the gate's inner channels are a quarter of the expanded ones, in steps of eight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from edgecnn.geometry import Pair
from edgecnn.nn.forms import conv, is_small, scaled
from edgecnn.recipe.layers import (
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    GlobalAveragePool,
    Layer,
    Residual,
    SqueezeExcite,
)

STEM = 16
LAST_EXPANSION = 6
DROPOUT = 0.2
"""torchvision's."""
RE: Literal["relu"] = "relu"
HS: Literal["hard_swish"] = "hard_swish"


class Block(NamedTuple):
    """A row of the paper's tables 1 and 2."""

    kernel: int
    expanded: int
    filters: int
    gated: bool
    activation: Literal["relu", "hard_swish"]
    stride: int


def mobilenet_v3(blocks: Sequence[Block], features: int, classes: int, width: float, size: Pair) -> tuple[Layer, ...]:
    """Stem, blocks, a 1x1 convolution, the mean, `features` and the classes.

    For pictures of less than 64 rows or columns, the stem and the first block of stride 2 have stride 1.
    """
    small = is_small(size)
    channels = scaled(STEM, width)
    made: list[Layer] = [conv("stem", channels, 3, 1 if small else 2, HS)]
    keeps = next(i for i, block in enumerate(blocks) if block.stride == 2) if small else None
    for i, block in enumerate(blocks):
        plain = block._replace(stride=1) if i == keeps else block
        filters = scaled(plain.filters, width)
        made += _block(f"block{i + 1}", plain, channels, scaled(plain.expanded, width), filters)
        channels = filters
    return (
        *made,
        conv("head", LAST_EXPANSION * channels, 1, 1, HS),
        GlobalAveragePool(name="pool"),
        Dense(units=scaled(features, width), activation=HS, name="features"),
        Dropout(rate=DROPOUT, name="dropout"),
        Dense(units=classes, name="classifier"),
    )


def _block(name: str, block: Block, channels: int, expanded: int, filters: int) -> list[Layer]:
    """Expand, filter each channel, gate, project; the input is added where stride and channels keep it."""
    kernel, stride = (block.kernel, block.kernel), (block.stride, block.stride)
    parts: list[Layer] = [] if expanded == channels else [conv("expand", expanded, 1, 1, block.activation)]
    parts.append(
        DepthwiseConv(kernel=kernel, stride=stride, batch_norm=True, activation=block.activation, name="depthwise")
    )
    if block.gated:
        parts.append(SqueezeExcite(filters=scaled(expanded // 4, 1.0), name="gate"))
    parts.append(Conv(filters=filters, kernel=(1, 1), batch_norm=True, name="project"))
    if block.stride == 1 and filters == channels:
        return [Residual(layers=tuple(parts), name=name)]
    return [part.model_copy(update={"name": f"{name}_{part.name}"}) for part in parts]
