"""Half precision: a canonical fp32 graph whose weights and values are float16 between the pixels and the logits.

The pixels are whole numbers up to 255 over 128, which float16 (11 significant bits, IEEE 754 binary16) holds exactly;
so one Cast behind them and one before the logits are all that a graph needs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from edgecnn.errors import UnusableFile
from edgecnn.graph.edit import Array, Graph, Node, Value

LARGEST = float(np.finfo(np.float16).max)
"""65504: beyond it float16 has only infinity."""
INTO, OUT_OF = "half", "logits_float"
"""The names of the two Casts."""
IN_FLOAT32 = ("DequantizeLinear", "Resize")
"""Whose constants stay float32: the pixels' scale, and how much larger a picture becomes (ONNX has it so)."""
INNER = "/half"
"""Added to the output's name for the value before it is cast back."""
EXACT, WIDE = "/exact", "/float32"
"""Added to a value's name for itself before it is rounded, and for the rounded one in float32."""


def check_fits(graph: Graph) -> None:
    """UnusableFile, naming layer and value, where a weight or bias is larger than float16 can hold."""
    for name, values in graph.constants.items():
        if values.dtype != np.float32 or not values.size:
            continue
        worst = float(values.flat[int(np.abs(values).argmax())])
        if not abs(worst) <= LARGEST:
            layer, _, kind = name.rpartition(".")
            raise UnusableFile(
                f"layer '{layer}': its {kind} has the value {worst:.6g}, and fp16 ends at {LARGEST:.0f}; export --fp32"
            )


def halved(graph: Graph) -> Graph:
    """The float16 graph of a canonical fp32 one: same names, uint8 in, float32 out. UnusableFile as in check_fits."""
    check_fits(graph)
    made = _copy(graph)
    kept = {name for node in made.each(*IN_FLOAT32) for name in node.inputs}
    made.constants = {
        name: values.astype(np.float16) if values.dtype == np.float32 and name not in kept else values
        for name, values in made.constants.items()
    }
    (output,) = made.outputs
    last = made.producer(output.name)
    planes = next(made.each("Transpose"))  # a canonical graph begins with the pixels and their order
    for node in made.nodes:
        node.inputs = [INTO if name == planes.output else name for name in node.inputs]
    assert last is not None, "a graph's output is made by one of its nodes"
    inner = output.name + INNER
    last.outputs = [inner]
    for node in made.nodes:
        node.inputs = [inner if name == output.name else name for name in node.inputs]
    made.insert_after(planes, Node("Cast", INTO, [planes.output], [INTO], {"to": TensorProto.FLOAT16}))
    made.nodes.append(Node("Cast", OUT_OF, [inner], [output.name], {"to": TensorProto.FLOAT}))
    made.outputs = [Value(output.name, TensorProto.FLOAT, output.shape)]
    made.infer_shapes()
    return made


def is_half(graph: Graph) -> bool:
    """Whether a graph has float16 weights."""
    return any(values.dtype == np.float16 for values in graph.constants.values())


def widened(graph: Graph) -> Graph:
    """A float16 graph computing in float32, its weights the same numbers: how engines run files of fp16 weights."""
    made = _copy(graph)
    for node in list(made.each("Cast")):
        made.bypass(node)
    made.constants = _widened_constants(graph)
    made.infer_shapes()
    return made


def _widened_constants(graph: Graph) -> dict[str, Array]:
    """A graph's constants, those of float16 as float32."""
    half = {name: values.astype(np.float32) for name, values in graph.constants.items() if values.dtype == np.float16}
    return graph.constants | half


def rounded(graph: Graph) -> Graph:
    """A float16 graph whose nodes compute in float32 and round what they give to float16, each of them.

    Values keep names and types. An engine without float16 arithmetic, left to itself, keeps float32 from node to node:
    ONNX Runtime takes out the Casts that it puts in, but none that a graph has.
    """
    made = _copy(graph)
    half = [name for name, dtype in graph.dtypes.items() if dtype == TensorProto.FLOAT16]
    made.constants = _widened_constants(graph)
    for node in list(made.nodes):
        node.inputs = [name + WIDE if name in half else name for name in node.inputs]
        if node.output not in half or node.op == "Cast":
            continue
        name, exact = node.output, node.output + EXACT
        node.outputs = [exact]
        made.insert_after(node, Node("Cast", exact, [exact], [name], {"to": TensorProto.FLOAT16}))
    for node in list(made.each("Cast")):
        if node.attributes["to"] == TensorProto.FLOAT16:
            wide = node.output + WIDE
            made.insert_after(node, Node("Cast", wide, [node.output], [wide], {"to": TensorProto.FLOAT}))
    made.infer_shapes()
    return made


def _copy(graph: Graph) -> Graph:
    nodes = [
        replace(node, inputs=list(node.inputs), outputs=list(node.outputs), attributes=dict(node.attributes))
        for node in graph.nodes
    ]
    return Graph(nodes, dict(graph.constants), list(graph.inputs), list(graph.outputs), dict(graph.shapes))
