"""Graphs with symmetric activations: int8 with zero point 0 inside, uint8 at both ends as in every file.

TensorRT takes no zero point but 0 and no uint8 grid, so both ends are said in plain operations outside of the int8
region, which any engine computes exactly:

- (pixel - 128) / 128 by Cast, Sub and Mul, then a QuantizeLinear with scale 1/128: the pixels' grid, 128 lower.
- Behind the last QuantizeLinear a DequantizeLinear with scale 1, which gives the integers themselves, then + 128 and a
  Cast to uint8: the logits' grid, 128 higher. A QuantizeLinear to uint8 with zero point 128 would mean the same, and
  TensorRT refuses it.

A bias is float there, since TensorRT dequantizes no int32; it still lies on whole steps of the sums, from which
program.py reads the integers that TFLite wants, and ONNX Runtime makes QLinearConv and QGemm of it all the same.

ONNX Runtime's CPU provider (1.31.1) leaves a relu out only where the zero point is the lowest value, and fuses no other
into int8: convolutions with a relu run in float there, much slower than asymmetric ones.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from edgecnn.graph.canonical import IMAGE
from edgecnn.graph.edit import Array, Graph, Node
from edgecnn.graph.program import SHIFT, Grid


def zero_point(grid: Grid, signed: bool) -> Array:
    """A grid's zero point as it stands in the graph."""
    return np.array(grid.zero_point - SHIFT, np.int8) if signed else np.array(grid.zero_point, np.uint8)


def float_bias(whole: Array, scales: Array) -> Array:
    """float32 [F]: what a DequantizeLinear would make of int32 [F]."""
    return np.asarray(whole.astype(np.float32) * scales, np.float32)


def signed_image(graph: Graph) -> None:
    """Bring pixels to int8 in the place of the DequantizeLinear that canonical graphs begin with; it is changed."""
    pixels = graph.only_consumer(IMAGE, "DequantizeLinear")
    planes = None if pixels is None else graph.only_consumer(pixels.output, "Transpose")
    assert pixels is not None, "a canonical graph begins with the image's pixels"
    assert planes is not None, "which it transposes"
    scale, value = pixels.inputs[1], pixels.output
    middle = graph.constant("image.middle", graph.constants[pixels.inputs[2]].astype(np.float32))
    zero = graph.constant("image.signed_zero_point", np.array(0, np.int8))
    at = graph.nodes.index(pixels)
    graph.nodes[at : at + 1] = [
        Node("Cast", "image.float", [IMAGE], ["image.float"], {"to": int(TensorProto.FLOAT)}),
        Node("Sub", "image.centred", ["image.float", middle], ["image.centred"]),
        Node("Mul", pixels.name, ["image.centred", scale], [value]),
    ]
    rounded = f"{IMAGE}.dq"
    for node in graph.consumers(planes.output):
        node.inputs = [rounded if name == planes.output else name for name in node.inputs]
    graph.insert_after(
        planes,
        Node("QuantizeLinear", "image.q", [planes.output, scale, zero], ["image.q"]),
        Node("DequantizeLinear", rounded, ["image.q", scale, zero], [rounded]),
    )


def unsigned_output(graph: Graph, rounding: Node, name: str) -> Node:
    """Put behind the last rounding what makes uint8 of its int8; returns the last node. `name` starts all new names."""
    zero = graph.constant(f"{name}.whole.zero_point", np.array(0, np.int8))
    one = graph.constant(f"{name}.whole.scale", np.array(1.0, np.float32))
    shift = graph.constant(f"{name}.shift", np.array(SHIFT, np.float32))
    whole, shifted, last = f"{name}.whole", f"{name}.shifted", f"{name}.unsigned"
    made = Node("Cast", last, [shifted], [last], {"to": int(TensorProto.UINT8)})
    graph.insert_after(
        rounding,
        Node("DequantizeLinear", whole, [rounding.output, one, zero], [whole]),
        Node("Add", shifted, [whole, shift], [shifted]),
        made,
    )
    return made
