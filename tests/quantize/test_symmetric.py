"""Symmetric activations: zero in the middle of each grid, both ends exact, the default's graphs as they always were."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.errors import UsageError
from edgecnn.graph.class_map import class_map
from edgecnn.graph.edit import Array, Graph
from edgecnn.graph.program import Grid, read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import broken_rules, quantize, quantized_map
from edgecnn.quantize.grids import symmetric
from edgecnn.quantize.ranges import Range
from tests.graph.small_nets import Net, evaluate, pictures
from tests.quantize.test_quantize import IMAGES, net

ASYMMETRIC = "e3d21f242d4451b58400f238c95ab760d3359701ee137091a9603f5008329edb"
"""The digest of the default's graph, as it is since sums keep off ties (sums.py)."""


def digest(graph: Graph) -> str:
    found = hashlib.sha256()
    for n in graph.nodes:
        found.update(repr((n.op, n.name, n.inputs, n.outputs, sorted(n.attributes.items()))).encode())
    for name, values in graph.constants.items():
        found.update(f"{name} {values.dtype} {values.shape}".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    found.update(repr((graph.inputs, graph.outputs)).encode())
    return found.hexdigest()


def test_the_default_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """On ranges given here: measured ones have other last bits on other machines."""

    def observe(graph: Graph, images: Array) -> dict[str, Range]:
        return {op.output.value: Range(-1.5, 6.0) for op in read_program(graph).ops}

    monkeypatch.setattr("edgecnn.quantize.qdq.observe", observe)
    assert digest(quantize(net().canonical(), IMAGES)) == ASYMMETRIC
    assert digest(quantize(net().canonical(), IMAGES, activations="asymmetric")) == ASYMMETRIC
    assert digest(quantize(net().canonical(), IMAGES, activations="symmetric")) != ASYMMETRIC


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_a_grid_covers_its_range_around_zero(a: float, b: float) -> None:
    grid = symmetric(Range(min(a, b), max(a, b)))
    assert grid.zero_point == 128
    assert 127 * grid.scale >= max(abs(a), abs(b)) * (1 - 1e-6)
    assert np.float32(grid.scale) == grid.scale, "as it will stand in the files"


def test_grids_worked_by_hand() -> None:
    assert symmetric(Range(0.0, 6.0)) == Grid(float(np.float32(6 / 127)), 128)
    assert symmetric(Range(-2.54, 1.0)) == Grid(float(np.float32(0.02)), 128)
    assert symmetric(Range(-1.0, 1.0), floor=0.5).scale == 0.5
    assert symmetric(Range(0.0, 0.0)).scale > 0


def test_a_graph_read_back_has_the_integers_that_were_decided() -> None:
    graph = quantize(net().canonical(), IMAGES, activations="symmetric")
    program = read_program(graph)
    assert program.image.grid == Grid(1 / 128, 128)
    assert {op.output.grid.zero_point for op in program.ops if op.output.grid is not None} == {128}
    assert [op.output.signed for op in program.ops] == [True] * 5 + [False], "the output is uint8"
    stem, made = program.ops[0], net()
    weights, bias = stem.constants
    assert weights.scales is not None
    assert bias.scales is not None
    assert (weights.values.dtype, bias.values.dtype) == (np.int8, np.int32)
    np.testing.assert_array_equal(bias.scales, np.float32(1 / 128) * weights.scales)
    np.testing.assert_allclose(bias.values * bias.scales, made.constants["stem.1"], atol=bias.scales.max())


def test_pixels_and_logits_go_through_the_ends_unchanged() -> None:
    """All 256 pixels arrive as what they stand for; the uint8 logits are the int8 ones, 128 higher."""
    every = np.arange(108 * 3, dtype=np.uint16).astype(np.uint8).reshape(3, 6, 6, 3)
    graph = quantize(net().canonical(), IMAGES, activations="symmetric")
    values = Reference(graph, ["image.dq", "classifier.q", "logits"]).values(every)
    np.testing.assert_array_equal(values["image.dq"], (every.transpose(0, 3, 1, 2).astype(np.float32) - 128) / 128)
    assert values["classifier.q"].dtype == np.int8
    np.testing.assert_array_equal(values["logits"].astype(int), values["classifier.q"].astype(int) + 128)


def test_it_says_what_the_floats_do() -> None:
    graph = net().canonical()
    quantized = quantize(graph, IMAGES, activations="symmetric")
    grid = read_program(quantized).output.grid
    assert grid is not None
    expected = Reference(graph).output(IMAGES)
    raw = Reference(quantized).output(IMAGES)
    assert raw.dtype == np.uint8
    assert np.abs((raw.astype(float) - grid.zero_point) * grid.scale - expected).max() < 0.05 * np.abs(expected).max()
    assert np.abs(evaluate(quantized, IMAGES).astype(int) - raw).max() <= 1, "ONNX's own evaluator"


@pytest.mark.parametrize("probabilities", [False, True])
def test_the_map_form_is_symmetric_too(probabilities: bool) -> None:
    made = Net(np.random.default_rng(4), 6, 6)
    made.probabilities = probabilities
    features = made.relu(made.conv("x", "stem", 6, (3, 3)), "act")
    made.dense(made.flatten(made.global_average_pool(features, "mean")), "classifier", 5)
    images = pictures(np.random.default_rng(1), 24, 6, 6)
    fp32 = made.canonical()
    found = quantized_map(quantize(fp32, images, activations="symmetric"), fp32, images)
    assert broken_rules(found) == ()
    grid = read_program(found).output.grid
    assert grid is not None
    raw, expected = Reference(found).output(images), Reference(class_map(fp32)).output(images)
    assert (raw.dtype, raw.shape) == (np.uint8, expected.shape)
    assert np.abs((raw.astype(float) - grid.zero_point) * grid.scale - expected).max() < 0.05 * np.abs(expected).max()


def test_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match="activations are asymmetric or symmetric, not lopsided"):
        quantize(net().canonical(), IMAGES, activations="lopsided")
