"""What changes a picture's size or shape, without weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edgecnn.recipe.layers.common import Layer, Pair


def _both(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Ratio = Annotated[float, Field(gt=1.0, le=2.0)]


class MaxPool(Layer):
    """The largest value of each window; `stride` is the window's size unless given."""

    size: Pair = (2, 2)
    stride: Pair | None = None
    padding: Literal["same", "valid"] = "valid"


class AveragePool(MaxPool):
    """The mean of each window, over the pixels that exist (padding is not counted, as in TensorFlow)."""


class GlobalAveragePool(Layer):
    """The mean of each channel: [C, H, W] -> [C]."""


class GlobalMaxPool(Layer):
    """The largest value of each channel: [C, H, W] -> [C]."""


class L2Pool(MaxPool):
    """The root of the mean of each window's squares, over the pixels that exist; in int8 files a float island."""


class StochasticPool(Layer):
    """While training one value of each window, drawn with the odds of its size; then their mean, so weighted.

    Values below zero are never drawn. In int8 files a float island. Source: arXiv:1301.3557.
    """

    size: Pair = (2, 2)
    stride: Pair | None = None


class FractionalMaxPool(Layer):
    """The largest values of 2x2 windows that make a picture `ratio` times smaller, as 1.5 or [1.4, 1.6].

    While training the windows' places are drawn anew for each picture; then they lie evenly. Source: arXiv:1412.6071.
    """

    ratio: Annotated[tuple[Ratio, Ratio], BeforeValidator(_both)]


class Upsample(Layer):
    """Make a picture `size` times as large, by repeating pixels or on the lines between them."""

    size: Pair = (2, 2)
    interpolation: Literal["nearest", "bilinear"] = "nearest"


class Flatten(Layer):
    """[C, H, W] -> [C * H * W]."""
