"""What TensorRT asks of a quantized graph, checked on the graph itself: no TensorRT and no GPU is needed.

It is as far as one can get without the hardware: whether the builder finds a kernel for each layer is not known.

Sources: NVIDIA, "Working with Quantized Types" and "Explicit Quantization" (the scheme is symmetric, activations have
one scale, weights one a channel); onnx-tensorrt, onnxOpImporters.cpp, QuantDequantLinearHelper (zero points must be all
zero, scales positive constants; uint8 is for the DLA only, and a DequantizeLinear of int32 is refused). That both sides
of a sum are quantized, and nothing stands between a convolution and its activation, is what its fusions are known to
want; the same pages do not say it of every version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from onnx import TensorProto

from edgecnn.graph.canonical.nodes import WEIGHTED
from edgecnn.graph.edit import Array, Graph, Node
from edgecnn.graph.islands import inside_islands
from edgecnn.graph.program import ACTIVATIONS, FUSES_ACTIVATION

UNTESTED = "symmetric: made for TensorRT, untested on its hardware"
"""What people read of graphs that keep these rules."""
WEIGHT_MAX = 127
JOINS = ("Add", "Mul", "Concat")
PAIR = ("QuantizeLinear", "DequantizeLinear")


def broken_rules(graph: Graph) -> tuple[str, ...]:
    """Of a QDQ graph: a sentence for each place that breaks one of TensorRT's rules, in the graph's order by rule."""
    return tuple(sentence for rule in RULES for sentence in rule(graph))


def _zero_points(graph: Graph) -> Iterator[str]:
    """int8 with zero point 0, everywhere."""
    for node in graph.each(*PAIR):
        zero = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
        if zero is None:
            yield f"'{node.name}' has no constant zero point, which makes it uint8; TensorRT takes int8"
        elif zero.dtype != np.int8:
            yield f"'{node.name}' works with {zero.dtype}; TensorRT takes int8"
        elif zero.any():
            yield f"'{node.name}' has zero point {int(zero.ravel()[np.flatnonzero(zero)[0]])}; TensorRT takes 0 only"


def _scales(graph: Graph) -> Iterator[str]:
    """Constants above 0; one for an activation."""
    for node in graph.each(*PAIR):
        scale = graph.constants.get(node.inputs[1])
        if scale is None or not (scale > 0).all():
            yield f"'{node.name}' has a scale that is not a constant above 0"
        elif node.inputs[0] not in graph.constants and scale.size != 1:
            yield f"'{node.name}' has {scale.size} scales; TensorRT takes one for an activation"


def _pairs(graph: Graph) -> Iterator[str]:
    """Integers go from a QuantizeLinear to a DequantizeLinear, and nowhere else."""
    for node in graph.each("QuantizeLinear"):
        takers = [taker.op for taker in graph.consumers(node.output)]
        if not takers or set(takers) != {"DequantizeLinear"}:
            yield f"'{node.name}' is not followed by a DequantizeLinear alone"


def _weights(graph: Graph) -> Iterator[str]:
    """int8 constants in -127..127 behind a DequantizeLinear: a scale an output channel, or one for a dense layer."""
    for node in graph.each(*WEIGHTED):
        given = graph.producer(node.inputs[1])
        if given is None or given.op != "DequantizeLinear" or given.inputs[0] not in graph.constants:
            yield f"the weights of '{node.name}' are not int8 constants behind a DequantizeLinear"
            continue
        values, scales = graph.constants[given.inputs[0]], graph.constants[given.inputs[1]]
        yield from _weight_scales(node, given, values, scales)
        if np.abs(values.astype(int)).max() > WEIGHT_MAX:
            yield f"the weights of '{node.name}' reach below -{WEIGHT_MAX}"


def _weight_scales(node: Node, given: Node, values: Array, scales: Array) -> Iterator[str]:
    axis = 1 if node.op == "ConvTranspose" else 0
    if scales.size == 1 and (node.op == "Gemm" or values.shape[axis] == 1):
        return
    if scales.ndim == 0:
        yield f"the weights of '{node.name}' have one scale, not one for each output channel"
    elif given.attributes.get("axis", 1) != axis or len(scales) != values.shape[axis]:
        yield f"the weights of '{node.name}' have {len(scales)} scales along another axis than the output channels'"


def _biases(graph: Graph) -> Iterator[str]:
    """Floats: TensorRT makes int32 of them itself, and dequantizes none."""
    for node in graph.each(*WEIGHTED):
        bias = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
        if len(node.inputs) > 2 and (bias is None or bias.dtype != np.float32):
            yield f"the bias of '{node.name}' is not a float32 constant"


def _inputs(graph: Graph) -> Iterator[str]:
    """What is multiplied by weights is quantized, and so is every input of a sum, a product and a concatenation.

    A float island has floats inside.
    """
    islands = inside_islands(graph)
    for node in graph.each(*WEIGHTED, *JOINS):
        if node.name in islands:
            continue
        taken = node.inputs[:1] if node.op in WEIGHTED else node.inputs
        between = [name for name in taken if name not in graph.constants]
        if node.op in JOINS and len(between) < 2:
            continue  # one number for all: the image's and the output's shift
        for name in between:
            producer = graph.producer(name)
            if producer is None or producer.op != "DequantizeLinear":
                yield f"'{name}', which '{node.name}' ({node.op}) takes, is not quantized"


def _activations(graph: Graph) -> Iterator[str]:
    """Nothing is rounded between an operation and the activation that alone takes it."""
    for node in graph.each(*ACTIVATIONS):
        dequantize = graph.producer(node.inputs[0])
        if dequantize is None or dequantize.op != "DequantizeLinear":
            continue
        quantize = graph.producer(dequantize.inputs[0])
        maker = None if quantize is None else graph.producer(quantize.inputs[0])
        if maker is None or maker.op not in FUSES_ACTIVATION:
            continue
        if all(len(graph.consumers(name)) == 1 for name in (maker.output, dequantize.inputs[0], dequantize.output)):
            yield f"'{maker.name}' is rounded before its activation '{node.name}'"


def _ends(graph: Graph) -> Iterator[str]:
    """uint8 only at the ends, and turned into floats and made from them by Cast."""
    for value in graph.inputs:
        for taker in graph.consumers(value.name):
            if value.dtype != TensorProto.FLOAT and (taker.op, taker.attributes.get("to")) != (
                "Cast",
                TensorProto.FLOAT,
            ):
                yield f"the input '{value.name}' is not float, and '{taker.name}' ({taker.op}) takes it without a Cast"
    for value in graph.outputs:
        maker = graph.producer(value.name)
        if value.dtype != TensorProto.FLOAT and (maker is None or maker.op != "Cast"):
            yield f"the output '{value.name}' is not float, and is not made by a Cast"


RULES: tuple[Callable[[Graph], Iterator[str]], ...] = (
    _zero_points,
    _scales,
    _pairs,
    _weights,
    _biases,
    _inputs,
    _activations,
    _ends,
)
