"""A canonical graph read as operations: what belongs to each, and the grids between them."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.errors import UsageError
from edgecnn.graph.program import Grid, read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import quantize
from tests.graph.small_nets import Net, evaluate, pictures

IMAGES = pictures(np.random.default_rng(1), 16, 6, 5)


def net() -> Net:
    made = Net(np.random.default_rng(2), 6, 5)
    stem = made.relu6(made.conv("x", "stem", 4, (3, 3), margins=(1, 1, 1, 1)), "act")
    inside = made.conv(stem, "inside", 4, groups=4)
    pooled = made.max_pool(made.relu(made.add(inside, stem, "sum"), "sum_act"), "pool", (2, 2), (2, 2))
    made.dense(made.flatten(pooled, "flat"), "classifier", 3)
    return made


def test_operations_with_what_belongs_to_them() -> None:
    program = read_program(net().canonical())
    assert [(op.type, op.name, op.activation) for op in program.ops] == [
        ("Conv", "stem", "relu6"),
        ("Conv", "inside", None),
        ("Add", "sum/add", "relu"),
        ("MaxPool", "pool", None),
        ("Flatten", "flat/flatten", None),
        ("Gemm", "classifier", None),
    ]
    stem, inside, total, pool, flat, dense = program.ops
    assert stem.inputs == (program.image,)
    assert program.image.shape == (1, 3, 6, 5)
    assert program.image.grid == Grid(1 / 128, 128)
    assert total.inputs == (inside.output, stem.output)
    assert [op.name for op in program.consumers(stem.output)] == ["inside", "sum/add"]
    assert flat.output.flattened == (4, 3, 2)
    assert dense.inputs[0].flattened == (4, 3, 2)
    assert dense.output.flattened is None
    assert program.output == dense.output
    assert all(op.output.grid is None for op in program.ops)
    assert pool.weights is None
    assert dense.weights is not None
    assert dense.weights.values.shape == (3, 24)


def test_an_activation_that_others_look_behind_is_an_operation_of_its_own() -> None:
    made = Net(np.random.default_rng(2), 4, 4)
    conv = made.conv("x", "stem", 4)
    made.flatten(made.add(made.relu(conv, "act"), conv, "sum"))
    program = read_program(made.canonical())
    assert [(op.type, op.activation) for op in program.ops][:2] == [("Conv", None), ("Relu", None)]


def test_a_qdq_graph_is_the_same_program_with_grids() -> None:
    graph = net().canonical()
    quantized = quantize(graph, IMAGES)
    plain, whole = read_program(graph), read_program(quantized)
    assert [(op.type, op.name, op.activation) for op in whole.ops] == [
        (op.type, op.name, op.activation) for op in plain.ops
    ]
    for op in whole.ops:
        assert op.output.grid is not None
        if op.weights is not None:
            assert op.weights.scales is not None
            assert op.bias is not None
            assert (op.weights.values.dtype, op.bias.values.dtype) == (np.int8, np.int32)
    pool, flat = whole.ops[3:5]
    assert pool.output.grid == pool.inputs[0].grid == flat.output.grid, "what moves values keeps their grid"
    assert whole.output.value == "logits"


def test_a_graph_that_is_not_canonical_is_refused() -> None:
    graph = net().canonical()
    graph.nodes[1].attributes["perm"] = [0, 1, 2, 3]
    with pytest.raises(UsageError, match="does not begin with image -> DequantizeLinear -> Transpose"):
        read_program(graph)


def test_the_reference_gives_every_value_it_is_asked_for() -> None:
    """In whole batches, and as ONNX's own evaluator has them."""
    graph = net().canonical()
    names = [op.output.value for op in read_program(graph).ops]
    values = Reference(graph, names).values(IMAGES)
    assert [values[name].shape[0] for name in names] == [16] * len(names)
    np.testing.assert_allclose(values["logits"], evaluate(graph, IMAGES), atol=1e-5)
    np.testing.assert_array_equal(values["logits"], Reference(graph).output(IMAGES))
