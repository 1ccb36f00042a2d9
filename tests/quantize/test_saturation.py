"""The worst pair sums, against VPMADDUBSW itself, done one pair and one activation at a time."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.graph.program import Constant, Op, Tensor
from edgecnn.quantize import pair_sums, quantize
from edgecnn.quantize.saturation import PairSums, _layer
from tests.graph.small_nets import Net, pictures

IMAGES = pictures(np.random.default_rng(1), 8, 6, 6)
WIDE = Tensor("x", (1, 4, 6, 6), "x")


def layer(weights: NDArray[np.int8], **attributes: int) -> PairSums:
    """The pair sums of a convolution [O, I, H, W], or of a dense layer [F, I]."""
    kind = "Conv" if weights.ndim == 4 else "Gemm"
    scales = np.ones(len(weights), np.float32)
    bias = Constant(np.zeros(len(weights), np.int32), scales)
    return _layer(Op(kind, "it", (WIDE,), WIDE, Constant(weights, scales), bias, attributes))


def madd(a: int, v: int, b: int, w: int) -> tuple[int, bool]:
    """a * v + b * w, and whether int16 can't hold it: Intel's description of VPMADDUBSW."""
    exact = a * v + b * w
    return exact, int(np.clip(exact, -(2**15), 2**15 - 1)) != exact


def by_hand(weights: NDArray[np.int8]) -> tuple[int, float, float]:
    """Largest magnitude, share of channels and of neighbours that saturate, over all activations that matter."""
    largest, channels, neighbours = 0, [], []
    for filter_ in weights:
        row = [int(w) for w in (filter_.transpose(1, 2, 0) if filter_.ndim == 3 else filter_).ravel()]
        found = [madd(a, v, b, w) for v, w in combinations([*row, 0], 2) for a, b in product((0, 255), repeat=2)]
        largest = max(largest, *(abs(exact) for exact, _ in found))
        channels.append(any(cut for _, cut in found))
        beside = [*row, 0][: len(row) + len(row) % 2]
        for v, w in zip(beside[::2], beside[1::2], strict=True):
            neighbours.append(any(madd(a, v, b, w)[1] for a, b in product((0, 255), repeat=2)))
    return largest, float(np.mean(channels)), float(np.mean(neighbours))


@pytest.mark.parametrize("shape", [(5, 4, 3, 3), (3, 3, 3, 3), (4, 2, 1, 1), (6, 1, 1, 1), (5, 7), (2, 8)], ids=str)
@pytest.mark.parametrize("spread", [127, 90, 64])
def test_sums_are_those_of_the_instruction(shape: tuple[int, ...], spread: int) -> None:
    for seed in range(20):
        weights = np.random.default_rng(seed).integers(-spread, spread + 1, shape).astype(np.int8)
        found = layer(weights)
        assert (found.worst, found.channels, found.pairs) == by_hand(weights)
        assert found.saturates == (found.channels > 0)


@pytest.mark.parametrize(
    ("weights", "worst", "saturates"),
    [
        ((127, 127), 64_770, True),  # Intel's own example
        ((127, -127), 32_385, False),  # the sum is at its largest where the other activation is 0
        ((64, 64), 32_640, False),
        ((64, 65), 32_895, True),
        ((-64, -64), 32_640, False),
        ((-64, -65), 32_895, True),
        ((63, 63), 32_130, False),
    ],
)
def test_sums_worked_by_hand(weights: tuple[int, int], worst: int, saturates: bool) -> None:
    found = layer(np.array([weights], np.int8))
    assert (found.worst, found.saturates) == (worst, saturates)


def net() -> Net:
    made = Net(np.random.default_rng(2), 6, 6)
    stem = made.relu6(made.conv("x", "stem", 4, (3, 3), gain=6.0), "act")
    deep = made.relu(made.conv(stem, "deep", 4, (3, 3), groups=4), "positive")
    wide = made.conv(deep, "multiplied", 8, (2, 2), groups=4)
    made.dense(made.flatten(wide, "flat"), "classifier", 5)
    return made


def test_depthwise_layers_are_left_out_and_float_graphs_have_none() -> None:
    graph = net().canonical()
    assert pair_sums(graph) == ()
    found = pair_sums(quantize(graph, IMAGES))
    assert [(sums.layer, sums.type) for sums in found] == [
        ("stem", "Conv"),
        ("multiplied", "Conv"),
        ("classifier", "Gemm"),
    ]


def test_no_sum_of_7_bits_saturates() -> None:
    graph = net().canonical()
    assert any(sums.saturates for sums in pair_sums(quantize(graph, IMAGES)))
    found = pair_sums(quantize(graph, IMAGES, weights_bits=7))
    assert not any(sums.saturates or sums.channels or sums.pairs for sums in found)
    assert max(sums.worst for sums in found) <= 255 * 2 * 63
