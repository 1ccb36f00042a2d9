"""The map form of a QDQ graph: every grid and integer up to the features is the classifier's own."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from edgecnn.graph.class_map import class_map, finished, put_first, tail
from edgecnn.graph.edit import Array, Graph, Node, from_onnx, to_onnx
from edgecnn.graph.program import Grid, read_program
from edgecnn.quantize.grids import logit_grid
from edgecnn.quantize.ranges import observe
from edgecnn.quantize.symmetric import float_bias, unsigned_output, zero_point


def quantized_map(int8: Graph, fp32: Graph, images: Array) -> Graph:
    """The map form of the QDQ graph that `fp32` was quantized to; its output is uint8 [N, K, h, w].

    The dense layer's integers and scale are kept. New are its bias, in steps of the features' grid instead of their
    mean's, and the output's grid, from the map's range over `images` (uint8 [N, H, W, C], those that int8 was decided
    on): single positions reach further than their mean. UsageError as `class_map` has it.
    """
    floats = class_map(fp32)
    edited = from_onnx(to_onnx(int8))
    pool, dense = tail(read_program(edited))
    seen = observe(floats, images, [floats.outputs[0].name])[floats.outputs[0].name]
    node = put_first(edited, pool, dense)
    given = pool.inputs[0].grid
    weights, bias = dense.constants
    assert given is not None, "a QDQ graph's features have a grid"
    assert weights.scales is not None, "and its weights scales"
    assert bias.scales is not None, "and its biases"
    count = len(weights.values)
    scales = np.broadcast_to(weights.scales, (count,)).astype(np.float32)
    bias_scales = (np.float32(given.scale) * scales).astype(np.float32)
    exact = bias.values.astype(np.float64) * bias.scales.astype(np.float64)
    whole_bias = np.rint(exact / bias_scales.astype(np.float64)).astype(np.int32)
    _set_constant(edited, node.inputs[1], weights.values[:, :, None, None], scales)
    signed = node.inputs[2] in edited.constants
    if signed:
        node.inputs[2] = edited.constant(f"{dense.name}.bias.map", float_bias(whole_bias, bias_scales))
    else:
        _set_constant(edited, node.inputs[2], whole_bias, bias_scales)
    rounding = edited.only_consumer(node.output, "QuantizeLinear")
    assert rounding is not None, "a QDQ graph's output is rounded"
    _set_grid(edited, rounding, logit_grid(seen, "symmetric" if signed else "asymmetric"), signed)
    last = unsigned_output(edited, rounding, f"{dense.name}.map") if signed else rounding
    return finished(edited, last, TensorProto.UINT8, (count, *pool.inputs[0].shape[2:]))


def _set_constant(graph: Graph, value: str, integers: Array, scales: Array) -> None:
    """Give a weight or bias other integers, with a scale for each slice along axis 0."""
    node = graph.producer(value)
    assert node is not None, f"{value} is dequantized"
    node.attributes = {"axis": 0}
    node.inputs = [
        graph.constant(f"{value}.map", integers),
        graph.constant(f"{value}.map.scale", scales),
        graph.constant(f"{value}.map.zero_point", np.zeros(len(scales), integers.dtype)),
    ]


def _set_grid(graph: Graph, rounding: Node, grid: Grid, signed: bool) -> None:
    rounding.inputs = [
        rounding.inputs[0],
        graph.constant(f"{rounding.name}.map.scale", np.array(grid.scale, np.float32)),
        graph.constant(f"{rounding.name}.map.zero_point", zero_point(grid, signed)),
    ]
