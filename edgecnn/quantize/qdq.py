"""Writing decided grids into the graph, as pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from edgecnn.errors import UsageError
from edgecnn.graph.edit import Array, Graph, Node, Value, from_onnx, to_onnx
from edgecnn.graph.program import Grid, Op, read_program
from edgecnn.quantize.averages import average_by_convolution
from edgecnn.quantize.gates import split_hard_swish
from edgecnn.quantize.grids import WEIGHTS_BITS, decide_grids, quantize_weights
from edgecnn.quantize.ranges import observe


def quantize(graph: Graph, images: Array, weights_bits: int = 8) -> Graph:
    """The QDQ graph of a canonical fp32 graph: static w8a8, per-channel weights, ranges from `images`.

    images: uint8 [N, H, W, 3], training pictures with evaluation pixels. weights_bits: 8, or 7 for sums that no engine
    saturates; either way they are stored as int8. The output becomes uint8 on its grid. Raises UsageError where a layer
    can't be said in int8.
    """
    if weights_bits not in WEIGHTS_BITS:
        raise UsageError(f"weights have {' or '.join(map(str, WEIGHTS_BITS))} bits, not {weights_bits}")
    edited = from_onnx(to_onnx(graph))
    split_hard_swish(edited)
    average_by_convolution(edited)
    program = read_program(edited)
    grids = decide_grids(program, observe(edited, images))
    for op in program.ops:
        if op.weights is not None:
            _quantize_weights(edited, op, grids[op.inputs[0].value], grids[op.output.value], weights_bits)
        _quantize_output(edited, op.name, op.output.value, grids[op.output.value])
    edited.prune()
    edited.infer_shapes()
    onnx.checker.check_model(to_onnx(edited), full_check=True)
    return from_onnx(to_onnx(edited))


def _quantize_weights(graph: Graph, op: Op, given: Grid, made: Grid, bits: int) -> None:
    node = next(node for node in graph.nodes if node.name == op.name)
    weights, scales, bias, bias_scales = quantize_weights(op, given, made, bits)
    for i, kind, values, steps in ((1, "weight", weights, scales), (2, "bias", bias, bias_scales)):
        name = f"{op.name}.{kind}"
        if len(steps) == 1:
            steps, attributes = steps.reshape(()), {}
        else:
            attributes = {"axis": 0}
        inputs = [
            graph.constant(f"{name}.q", values),
            graph.constant(f"{name}.scale", steps),
            graph.constant(f"{name}.zero_point", np.zeros(steps.shape, values.dtype)),
        ]
        before = graph.nodes[graph.nodes.index(node) - 1]
        graph.insert_after(before, Node("DequantizeLinear", f"{name}.dq", inputs, [f"{name}.dq"], attributes))
        node.inputs[i] = f"{name}.dq"


def _quantize_output(graph: Graph, name: str, value: str, grid: Grid) -> None:
    producer = graph.producer(value)
    assert producer is not None, f"{value} is made by a node"
    scale = graph.constant(f"{name}.scale", np.array(grid.scale, np.float32))
    zero = graph.constant(f"{name}.zero_point", np.array(grid.zero_point, np.uint8))
    (output,) = graph.outputs
    if value == output.name:
        producer.outputs = [f"{name}.float"]
        graph.insert_after(producer, Node("QuantizeLinear", f"{name}.q", [f"{name}.float", scale, zero], [value]))
        graph.outputs = [Value(value, TensorProto.UINT8, output.shape)]
        return
    for node in graph.consumers(value):
        node.inputs = [f"{name}.dq" if given == value else given for given in node.inputs]
    graph.insert_after(
        producer,
        Node("QuantizeLinear", f"{name}.q", [value, scale, zero], [f"{name}.q"]),
        Node("DequantizeLinear", f"{name}.dq", [f"{name}.q", scale, zero], [f"{name}.dq"]),
    )
