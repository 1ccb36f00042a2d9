"""Networks in the words of `layers:`, drawn by hypothesis, with batch-norm statistics from real pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from edgecnn.data import DataSpec, open_dataset
from edgecnn.errors import UsageError
from edgecnn.nn.layers import plan_layers
from edgecnn.nn.network import LayeredNetwork
from edgecnn.recipe import layers as words
from edgecnn.recipe.layers import Layer
from tests.graph.small_nets import planes

Array = NDArray[Any]
DEPTH = 12
"""So many layers at most, those inside of blocks among them."""
CLASSES = 10
STATISTICS = 128
"""Pictures that batch norms are set from, and int8 is decided on."""
ACTIVATIONS = ("linear", "relu", "relu", "relu6")
MOST_CHANNELS, LARGEST = 48, 40


@dataclass(frozen=True)
class Drawn:
    """One network: its layers for pictures of `size`, and the seed of its weights."""

    size: tuple[int, int]
    layers: tuple[Layer, ...]
    seed: int

    def module(self, images: Array) -> nn.Module:
        """In eval mode, after the pictures uint8 [N, H, W, 3] have gone through it twice.

        Batch norms hold their statistics. The classifier's bias takes the mean away, or one class would always win.
        """
        torch.manual_seed(self.seed)
        module = LayeredNetwork((3, *self.size), plan_layers(self.layers, (3, *self.size))).build()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # the plain average over batches
        values = torch.from_numpy(planes(images))
        with torch.no_grad():
            module.train()(values)
            logits = module.eval()(values)
            classifier = [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
            classifier.bias -= logits.mean(0)
        return module


def real_pictures(size: tuple[int, int], split: str, count: int) -> Array:
    """uint8 [count, H, W, 3] of the bundled CIFAR-10 pictures, drawn over all classes."""
    found = open_dataset(DataSpec("cifar10_mini", None, 0.1, *size, "stretch")).load(split)
    return np.ascontiguousarray(found.take(np.arange(count) * (len(found) // count)).images)


Draw = st.DrawFn


def _size(draw: Draw, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def _filters(draw: Draw) -> int:
    return draw(st.sampled_from([4, 6, 8, 9, 12, 16]))


def _more(draw: Draw) -> dict[str, Any]:
    return {"batch_norm": draw(st.integers(0, 3)) > 0, "activation": draw(st.sampled_from(ACTIVATIONS))}


def _conv(draw: Draw, shape: tuple[int, ...]) -> Layer:
    form = draw(st.sampled_from(["plain", "plain", "dilated", "grouped"]))
    stride = (1, 1) if form == "dilated" else _size(draw, 1, 2)
    padding = draw(st.sampled_from(["same", "same", "valid", (1, 1)]))
    made = {"filters": _filters(draw), "kernel": _size(draw, 1, 4), "stride": stride, "padding": padding, **_more(draw)}
    if form == "dilated":
        made["dilation"] = _size(draw, 1, 3)
    if form == "grouped":
        groups = draw(st.sampled_from([g for g in (2, 3, 4) if shape[0] % g == 0] or [1]))
        made |= {"groups": groups, "filters": groups * draw(st.integers(2, 5))}
    return words.Conv(**made)


def _depthwise(draw: Draw, shape: tuple[int, ...]) -> Layer:
    multiplier = draw(st.sampled_from([1, 1, 1, 2])) if shape[0] <= MOST_CHANNELS // 2 else 1
    return words.DepthwiseConv(kernel=_size(draw, 1, 5), stride=_size(draw, 1, 2), multiplier=multiplier, **_more(draw))


def _separable(draw: Draw, shape: tuple[int, ...]) -> Layer:
    return words.SeparableConv(
        filters=_filters(draw), kernel=_size(draw, 2, 4), stride=_size(draw, 1, 2), **_more(draw)
    )


def _transposed(draw: Draw, shape: tuple[int, ...]) -> Layer:
    return words.TransposedConv(
        filters=_filters(draw), kernel=_size(draw, 2, 4), stride=_size(draw, 1, 2), **_more(draw)
    )


def _max_pool(draw: Draw, shape: tuple[int, ...]) -> Layer:
    return words.MaxPool(
        size=_size(draw, 2, 3), stride=_size(draw, 1, 2), padding=draw(st.sampled_from(["same", "valid"]))
    )


def _average_pool(draw: Draw, shape: tuple[int, ...]) -> Layer:
    return words.AveragePool(size=_size(draw, 2, 3), stride=(2, 2), padding=draw(st.sampled_from(["same", "valid"])))


def _fractional(draw: Draw, shape: tuple[int, ...]) -> Layer:
    return words.FractionalMaxPool(ratio=draw(st.sampled_from([1.3, 1.5, 1.8])))


def _upsample(draw: Draw, shape: tuple[int, ...]) -> Layer:
    return words.Upsample(interpolation=draw(st.sampled_from(["nearest", "bilinear"])))


def _squeeze_excite(draw: Draw, shape: tuple[int, ...]) -> Layer:
    return words.SqueezeExcite(ratio=2, gate=draw(st.sampled_from(["sigmoid", "hard_sigmoid"])))


def _inverted(draw: Draw, shape: tuple[int, ...]) -> Layer:
    filters = draw(st.sampled_from([shape[0], _filters(draw)]))
    return words.InvertedResidual(
        filters=filters, expansion=draw(st.integers(1, 3)), kernel=_size(draw, 2, 4), stride=_size(draw, 1, 2)
    )


def _keeping(draw: Draw, shape: tuple[int, ...]) -> list[Layer]:
    """One or two convolutions that keep rows and columns."""
    count = draw(st.integers(1, 2))
    return [words.Conv(filters=_filters(draw), kernel=_size(draw, 1, 3), **_more(draw)) for _ in range(count)]


def _residual(draw: Draw, shape: tuple[int, ...]) -> Layer:
    last = words.Conv(filters=shape[0], kernel=(1, 1), batch_norm=True)
    activation = draw(st.sampled_from(["linear", "relu"]))
    return words.Residual(layers=(*_keeping(draw, shape), last), activation=activation)


def _concat(draw: Draw, shape: tuple[int, ...]) -> Layer:
    branches = [tuple(_keeping(draw, shape)) for _ in range(draw(st.integers(1, 2)))]
    other = draw(st.sampled_from(["empty", "pool", "depthwise"]))
    pool = words.MaxPool(size=(3, 3), stride=(1, 1), padding="same")
    extra = {"empty": (), "pool": (pool,), "depthwise": (words.DepthwiseConv(kernel=(3, 3), activation="relu"),)}
    return words.Concat(branches=(*branches, extra[other]))


KINDS: tuple[Callable[[Draw, tuple[int, ...]], Layer], ...] = (
    _conv, _conv, _depthwise, _separable, _transposed, _max_pool, _average_pool, _fractional, _upsample,
    _squeeze_excite, _inverted, _residual, _concat,
)  # fmt: skip


def _depth(layers: Sequence[Layer]) -> int:
    inside = [part for layer in layers for key in layer.nested for part in getattr(layer, key)]
    flat = [part for found in inside for part in (found if isinstance(found, tuple) else (found,))]
    return len(layers) + (_depth(flat) if flat else 0)


@st.composite
def drawn(draw: Draw) -> Drawn:
    """A first convolution, layers as they fit, and one of the usual ends."""
    size = _size(draw, 9, 33)
    layers: list[Layer] = [words.Conv(filters=_filters(draw), kernel=(3, 3), **_more(draw))]
    for _ in range(draw(st.integers(4, 12))):
        shape = plan_layers(layers, (3, *size))[-1][1].output
        wanted = [*layers, draw(st.sampled_from(KINDS))(draw, shape)]
        if _fits(wanted, size):
            layers = wanted
    end = draw(st.sampled_from([words.GlobalAveragePool, words.GlobalAveragePool, words.GlobalMaxPool, words.Flatten]))
    whole = (*layers, end(), words.Dense(units=CLASSES))
    return Drawn(size, whole, draw(st.integers(0, 2**31 - 1)))


def _fits(layers: Sequence[Layer], size: tuple[int, int]) -> bool:
    """Whether the layers follow each other, and leave a picture that is neither tiny nor large."""
    try:
        channels, rows, columns = plan_layers(layers, (3, *size))[-1][1].output
    except UsageError:
        return False
    return (
        channels <= MOST_CHANNELS
        and min(rows, columns) >= 3
        and max(rows, columns) <= LARGEST
        and _depth(layers) <= DEPTH - 2
    )
