"""Average pools in int8: depthwise convolutions on a grid off the ties; and what is no average."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.graph.program import Constant, Op, Tensor, read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import quantize
from edgecnn.quantize.averages import is_average
from tests.graph.small_nets import Margins, Net, pictures

IMAGES = pictures(np.random.default_rng(1), 32, 8, 8)


def pooled(margins: Margins, counted: bool) -> Net:
    made = Net(np.random.default_rng(2), 8, 8)
    made.flatten(made.average_pool(made.conv("x", "stem", 4), "mean", (2, 2), (2, 2), margins, counted))
    return made


@pytest.mark.parametrize(
    ("margins", "counted", "kind"),
    [
        ((0, 0, 0, 0), False, "Conv"),
        ((1, 1, 1, 1), True, "Conv"),
        ((1, 1, 1, 1), False, "AveragePool"),  # weights differ near the border
    ],
)
def test_which_pools_become_convolutions(margins: Margins, counted: bool, kind: str) -> None:
    graph = pooled(margins, counted).canonical()
    program = read_program(quantize(graph, IMAGES))
    (pool,) = (op for op in program.ops if op.name == "mean")
    assert pool.type == kind
    assert (pool.output.grid == pool.inputs[0].grid) == (kind == "AveragePool")
    expected = Reference(graph).output(IMAGES)
    found = Reference(quantize(graph, IMAGES)).output(IMAGES).astype(np.float32)
    assert pool.output.grid is not None
    values = (found - pool.output.grid.zero_point) * pool.output.grid.scale
    assert np.abs(values - expected).max() <= 0.02 * np.abs(expected).max()


def test_one_weight_is_no_average() -> None:
    """What brings pixels to a network's mean, with one standard deviation for all channels, keeps the pixels' grid."""

    def of(weights: np.ndarray) -> Op:
        tensor = Tensor("x", (1, 3, 8, 8), "x")
        constant = Constant(weights.astype(np.float32))
        return Op("Conv", "normalise", (tensor,), tensor, constant, Constant(np.zeros(3, np.float32)), {"group": 3})

    assert not is_average(of(np.full((3, 1, 1, 1), 4.0)))
    assert is_average(of(np.full((3, 1, 2, 2), 0.25)))
    assert not is_average(of(np.arange(12.0).reshape(3, 1, 2, 2)))
