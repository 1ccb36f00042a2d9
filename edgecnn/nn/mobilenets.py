"""What the MobileNets share: how their channels scale, and which pictures are small."""

from __future__ import annotations

from edgecnn.geometry import Pair

SMALL = 64


def is_small(size: Pair) -> bool:
    """Whether the published strides, 32 in all, would leave a picture (height, width) less than two rows or columns."""
    return min(size) < SMALL


def scaled(channels: int, width: float) -> int:
    """The nearest multiple of eight channels, eight at least; one more where that takes away over a tenth.

    Source: `_make_divisible` in tensorflow/models, research/slim/nets/mobilenet/mobilenet.py.
    """
    wanted = channels * width
    made = max(8, int(wanted + 4) // 8 * 8)
    return made + 8 if made < 0.9 * wanted else made
