"""The map form of a QDQ graph: the classifier's own integers, and one grid more."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.errors import UsageError
from edgecnn.graph.class_map import class_map
from edgecnn.graph.edit import Graph, to_onnx
from edgecnn.graph.program import Program, read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import quantize, quantized_map
from tests.graph.small_nets import Net, pictures
from tests.graph.test_class_map import HEIGHT, WIDTH, other_ends, plain, with_softmax

IMAGES = pictures(np.random.default_rng(3), 32, HEIGHT, WIDTH)


def dequantized(program: Program, values: np.ndarray) -> np.ndarray:
    grid = program.output.grid
    assert grid is not None
    return np.asarray((values.astype(np.float64) - grid.zero_point) * grid.scale)


@pytest.fixture(params=[(plain, 8), (plain, 7), (with_softmax, 8)], ids=["logits", "7 bits", "probabilities"])
def graphs(request: pytest.FixtureRequest) -> tuple[Graph, Graph, Graph]:
    """fp32, int8 and the map of the latter."""
    make, bits = request.param
    net: Net = make()
    fp32 = net.canonical()
    int8 = quantize(fp32, IMAGES, bits)
    return fp32, int8, quantized_map(int8, fp32, IMAGES)


def test_everything_up_to_the_features_is_the_classifiers(graphs: tuple[Graph, Graph, Graph]) -> None:
    _, int8, made = graphs
    ours, theirs = read_program(made).ops, read_program(int8).ops
    for mine, other in zip(ours[:-1], theirs, strict=False):
        assert (mine.type, mine.name, mine.output.grid) == (other.type, other.name, other.output.grid)
        if mine.weights is not None:
            for a, b in zip(mine.constants, other.constants, strict=True):
                np.testing.assert_array_equal(a.values, b.values)
                np.testing.assert_array_equal(a.scales, b.scales)
    assert len(ours) == 1 + next(i for i, op in enumerate(theirs) if op.type == "GlobalAveragePool")


def test_the_dense_layers_integers_are_kept(graphs: tuple[Graph, Graph, Graph]) -> None:
    _, int8, made = graphs
    dense = next(op for op in read_program(int8).ops if op.type == "Gemm")
    conv = read_program(made).ops[-1]
    np.testing.assert_array_equal(conv.constants[0].values[:, :, 0, 0], dense.constants[0].values)
    assert set(conv.constants[0].scales.tolist()) == set(dense.constants[0].scales.tolist())
    given = conv.inputs[0].grid
    assert given is not None
    np.testing.assert_allclose(conv.constants[1].scales, given.scale * conv.constants[0].scales, rtol=1e-6)
    biases = [bias.values * bias.scales.astype(float) for bias in (conv.constants[1], dense.constants[1])]
    np.testing.assert_allclose(biases[0], biases[1], atol=float(conv.constants[1].scales.max()))


def test_its_places_are_the_float_maps(graphs: tuple[Graph, Graph, Graph]) -> None:
    fp32, _, made = graphs
    expected = Reference(class_map(fp32)).output(IMAGES)
    program = read_program(made)
    raw = Reference(made).output(IMAGES)
    found = dequantized(program, raw)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
    assert not ((Reference(made).output(IMAGES) == 0) | (Reference(made).output(IMAGES) == 255)).any(), (
        "no place is cut"
    )


def test_its_mean_is_the_int8_classifiers_answer() -> None:
    fp32 = plain().canonical()
    int8 = quantize(fp32, IMAGES)
    made = quantized_map(int8, fp32, IMAGES)
    means = dequantized(read_program(made), Reference(made).output(IMAGES)).mean(axis=(2, 3))
    logits = dequantized(read_program(int8), Reference(int8).output(IMAGES))
    assert np.abs(means - logits).max() < 0.03 * np.ptp(logits)
    assert (means.argmax(axis=1) == logits.argmax(axis=1)).mean() >= 0.9


def test_the_classifier_is_left_as_it_was() -> None:
    fp32 = plain().canonical()
    int8 = quantize(fp32, IMAGES)
    before = to_onnx(int8).SerializeToString(deterministic=True)
    quantized_map(int8, fp32, IMAGES)
    assert to_onnx(int8).SerializeToString(deterministic=True) == before


def test_other_ends_have_no_map() -> None:
    fp32 = other_ends("flatten").canonical()
    with pytest.raises(UsageError, match="this one ends in"):
        quantized_map(quantize(fp32, IMAGES), fp32, IMAGES)
