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
from edgecnn.quantize.grids import ACTIVATION_GRIDS, WEIGHTS_BITS, decide_grids, quantize_weights
from edgecnn.quantize.ranges import observe
from edgecnn.quantize.symmetric import float_bias, signed_image, unsigned_output, zero_point


def quantize(graph: Graph, images: Array, weights_bits: int = 8, activations: str = "asymmetric") -> Graph:
    """The QDQ graph of a canonical fp32 graph: static w8a8, per-channel weights, ranges from `images`.

    images: uint8 [N, H, W, C], training pictures with evaluation pixels. weights_bits: 8, or 7 for sums that no engine
    saturates; either way they are stored as int8. activations: asymmetric, uint8 with any zero point, or symmetric,
    int8 with zero point 0 (see symmetric.py). The output becomes uint8 on its grid. Raises UsageError where a layer
    can't be said in int8.
    """
    if activations not in ACTIVATION_GRIDS:
        raise UsageError(f"activations are {' or '.join(ACTIVATION_GRIDS)}, not {activations}")
    signed = activations == "symmetric"
    if weights_bits not in WEIGHTS_BITS:
        raise UsageError(f"weights have {' or '.join(map(str, WEIGHTS_BITS))} bits, not {weights_bits}")
    edited = from_onnx(to_onnx(graph))
    split_hard_swish(edited)
    average_by_convolution(edited)
    program = read_program(edited)
    grids = decide_grids(program, observe(edited, images), activations)
    for op in program.ops:
        if op.weights is not None:
            given, made = grids[op.inputs[0].value], grids[op.output.value]
            _quantize_weights(edited, op, quantize_weights(op, given, made, weights_bits), signed)
        _quantize_output(edited, op.name, op.output.value, grids[op.output.value], signed)
    if signed:
        signed_image(edited)
    edited.prune()
    edited.infer_shapes()
    onnx.checker.check_model(to_onnx(edited), full_check=True)
    return from_onnx(to_onnx(edited))


def _quantize_weights(graph: Graph, op: Op, decided: tuple[Array, Array, Array, Array], signed: bool) -> None:
    node = next(node for node in graph.nodes if node.name == op.name)
    weights, scales, bias, bias_scales = decided
    turned = op.type == "ConvTranspose"
    if turned:  # filters lie along the second axis there
        weights = weights.swapaxes(0, 1)
    for i, kind, values, steps in ((1, "weight", weights, scales), (2, "bias", bias, bias_scales)):
        if signed and kind == "bias":
            node.inputs[i] = graph.constant(f"{op.name}.bias.f", float_bias(bias, bias_scales))
            continue
        name = f"{op.name}.{kind}"
        if len(steps) == 1:
            steps, attributes = steps.reshape(()), {}
        else:
            attributes = {"axis": 1 if turned and kind == "weight" else 0}
        inputs = [
            graph.constant(f"{name}.q", values),
            graph.constant(f"{name}.scale", steps),
            graph.constant(f"{name}.zero_point", np.zeros(steps.shape, values.dtype)),
        ]
        before = graph.nodes[graph.nodes.index(node) - 1]
        graph.insert_after(before, Node("DequantizeLinear", f"{name}.dq", inputs, [f"{name}.dq"], attributes))
        node.inputs[i] = f"{name}.dq"


def _quantize_output(graph: Graph, name: str, value: str, grid: Grid, signed: bool) -> None:
    producer = graph.producer(value)
    assert producer is not None, f"{value} is made by a node"
    scale = graph.constant(f"{name}.scale", np.array(grid.scale, np.float32))
    zero = graph.constant(f"{name}.zero_point", zero_point(grid, signed))
    (output,) = graph.outputs
    if value == output.name:
        producer.outputs = [f"{name}.float"]
        rounding = Node("QuantizeLinear", f"{name}.q", [f"{name}.float", scale, zero], [value])
        graph.insert_after(producer, rounding)
        if signed:
            rounding.outputs = [f"{name}.q"]
            unsigned_output(graph, rounding, name).outputs = [value]
        graph.outputs = [Value(value, TensorProto.UINT8, output.shape)]
        return
    for node in graph.consumers(value):
        node.inputs = [f"{name}.dq" if given == value else given for given in node.inputs]
    graph.insert_after(
        producer,
        Node("QuantizeLinear", f"{name}.q", [value, scale, zero], [f"{name}.q"]),
        Node("DequantizeLinear", f"{name}.dq", [f"{name}.q", scale, zero], [f"{name}.dq"]),
    )
