"""int8 graphs that answer in floats: the same integers, and what they mean."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgecnn.graph.edit import Graph, to_onnx
from edgecnn.graph.program import read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import float_answers, quantize
from tests.quantize.test_quantize import IMAGES, net

ACTIVATIONS = ("asymmetric", "symmetric")


@pytest.fixture(scope="module", params=ACTIVATIONS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return quantize(net().canonical(), IMAGES, activations=request.param)


def test_floats_are_what_the_integers_mean(graph: Graph) -> None:
    made = float_answers(graph)
    onnx.checker.check_model(to_onnx(made), full_check=True)
    grid = read_program(graph).output.grid
    assert grid is not None
    integers, floats = Reference(graph).output(IMAGES), Reference(made).output(IMAGES)
    assert (integers.dtype, floats.dtype) == (np.uint8, np.float32)
    assert len(np.unique(integers)) > 10
    expected = (integers.astype(np.float32) - grid.zero_point) * np.float32(grid.scale)
    assert np.array_equal(floats, expected)
    assert [value.name for value in made.outputs] == [value.name for value in graph.outputs]


def test_nothing_else_changes(graph: Graph) -> None:
    before = to_onnx(graph).SerializeToString(deterministic=True)
    made = float_answers(graph)
    assert to_onnx(graph).SerializeToString(deterministic=True) == before, "the graph that was given stays as it was"
    ours, theirs = read_program(made), read_program(graph)
    assert (ours.float_answers, theirs.float_answers) == (True, False)
    assert ours.output.grid == theirs.output.grid
    assert [(op.type, op.output.grid) for op in ours.ops] == [(op.type, op.output.grid) for op in theirs.ops]


def test_a_float_graph_has_no_grid_to_answer_on() -> None:
    assert not read_program(net().canonical()).float_answers
