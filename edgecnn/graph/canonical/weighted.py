"""Convolutions and dense layers, with the padding and the batch norm that belong to them."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.nodes import WEIGHTED, add_bias, refuse_auto_pad, where
from edgecnn.graph.edit import Array, Graph, Node


def fold_pad(graph: Graph) -> None:
    """Zero padding before a convolution, or minus infinity before a max pool, becomes that node's own margins."""
    for pad in graph.each("Pad"):
        margins = graph.constants[pad.inputs[1]].tolist()
        value = float(graph.constants[pad.inputs[2]]) if len(pad.inputs) > 2 and pad.inputs[2] else 0.0
        expected = {"Conv": 0.0, "MaxPool": -np.inf}
        node = graph.only_consumer(pad.output, *expected)
        fits = len(margins) == 8 and not any(margins[i] for i in (0, 1, 4, 5)) and min(margins) >= 0
        if (
            node is None
            or not fits
            or value != expected[node.op]
            or pad.attributes.get("mode", "constant") != "constant"
        ):
            raise UsageError(f"{where(pad)}: this padding has no canonical form; pad inside the layer that follows")
        own = node.attributes.get("pads", [0, 0, 0, 0])
        node.attributes["pads"] = [a + b for a, b in zip(own, [margins[i] for i in (2, 3, 6, 7)], strict=True)]
        graph.bypass(pad)


def fold_affine(graph: Graph) -> None:
    """Adding or multiplying by one number, or one a channel, is a batch norm, and goes where batch norms go."""
    for node in graph.each("Mul", "Add", "Sub", "Div"):
        places = [i for i, name in enumerate(node.inputs) if name in graph.constants]
        if len(places) != 1 or (node.op in ("Sub", "Div") and places[0] == 0):
            continue
        shape = graph.shapes[node.inputs[1 - places[0]]]
        values = graph.constants[node.inputs[places[0]]].astype(np.float64)
        per_channel = values.size == 1 or (values.ndim >= 3 and values.shape[-3:] == (shape[1], 1, 1))
        if len(shape) != 4 or not per_channel:
            continue
        each = np.broadcast_to(values.reshape(-1), (shape[1],))
        ones, zeros = np.ones(shape[1]), np.zeros(shape[1])
        factor = {"Mul": each, "Div": 1.0 / np.where(each == 0.0, np.nan, each)}.get(node.op, ones)
        shift = {"Add": each, "Sub": -each}.get(node.op, zeros)
        node.inputs = [node.inputs[1 - places[0]]]
        _fold(graph, node, factor, shift)


def fold_batch_norm(graph: Graph) -> None:
    """Batch norm goes into the convolution or dense layer before it, else becomes a 1x1 depthwise convolution.

    Source: Jacob et al., arXiv:1712.05877, section 3.2.
    """
    for norm in graph.each("BatchNormalization"):
        gain, offset, mean, variance = (graph.constants[name].astype(np.float64) for name in norm.inputs[1:5])
        factor = gain / np.sqrt(variance + norm.attributes.get("epsilon", 1e-5))
        _fold(graph, norm, factor, offset - mean * factor)


def _fold(graph: Graph, node: Node, factor: Array, shift: Array) -> None:
    """Put x * factor + shift, one of each a channel, in the place of a node."""
    before = graph.producer(node.inputs[0])
    if before is not None and before.op in WEIGHTED and graph.only_consumer(before.output, node.op) is node:
        _scale_weights(graph, before, factor, shift)
        graph.bypass(node)
    elif len(graph.shapes[node.inputs[0]]) == 4:
        weights = graph.constant(f"{node.name}.weight", factor.reshape(-1, 1, 1, 1).astype(np.float32))
        bias = graph.constant(f"{node.name}.bias", shift.astype(np.float32))
        node.op, node.inputs = "Conv", [node.inputs[0], weights, bias]
        node.attributes = {"group": len(factor), "kernel_shape": [1, 1]}
    else:
        raise UsageError(f"{where(node)}: batch norm of features must follow a dense layer")


def _scale_weights(graph: Graph, node: Node, factor: Array, shift: Array) -> None:
    weights = graph.constants[node.inputs[1]].astype(np.float64)
    bias = graph.constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 else np.zeros(len(factor))
    filters_first = (-1, *[1] * (weights.ndim - 1))
    scaled = weights * factor.reshape((1, -1, 1, 1) if node.op == "ConvTranspose" else filters_first)
    node.inputs = [
        node.inputs[0],
        graph.constant(f"{node.name}.weight", scaled.astype(np.float32)),
        graph.constant(f"{node.name}.bias", (bias * factor + shift).astype(np.float32)),
    ]


def complete_conv(graph: Graph) -> None:
    """Every convolution says its kernel, strides, margins, dilations and groups, and has a bias."""
    for node in graph.each("Conv"):
        refuse_auto_pad(node)
        weights = graph.constants.get(node.inputs[1])
        if weights is None or weights.ndim != 4:
            raise UsageError(f"{where(node)}: only 2-D convolutions with fixed weights are supported")
        given = node.attributes
        node.attributes = {
            "kernel_shape": list(weights.shape[2:]),
            "strides": given.get("strides", [1, 1]),
            "pads": given.get("pads", [0, 0, 0, 0]),
            "dilations": given.get("dilations", [1, 1]),
            "group": given.get("group", 1),
        }
        add_bias(graph, node, weights.shape[0])


def complete_dense(graph: Graph) -> None:
    """MatMul, MatMul + Add and Gemm of any form become Gemm: x @ W.T + b."""
    for node in graph.each("MatMul"):
        weights = graph.constants.get(node.inputs[1])
        if weights is None or weights.ndim != 2 or len(graph.shapes[node.inputs[0]]) != 2:
            raise UsageError(f"{where(node)}: only [N, F] @ fixed weights is supported")
        node.op, node.attributes = "Gemm", {"transB": 0}
        add = graph.only_consumer(node.output, "Add")
        bias = next((name for name in add.inputs if name in graph.constants), None) if add else None
        if add is not None and bias is not None and graph.constants[bias].ndim == 1:
            node.inputs.append(bias)
            node.outputs = list(add.outputs)
            graph.nodes.remove(add)
    for node in graph.each("Gemm"):
        weights, given = graph.constants.get(node.inputs[1]), node.attributes
        if weights is None or given.get("transA", 0) or given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
            raise UsageError(f"{where(node)}: only x @ W + b with fixed weights is supported")
        if not given.get("transB", 0):
            weights = np.ascontiguousarray(weights.T)
            node.inputs[1] = graph.constant(f"{node.name}.weight", weights)
        node.attributes = {"transB": 1}
        add_bias(graph, node, weights.shape[0])
