"""int8 files that answer in floats: the last rounding stays, and the file itself says what its integers mean."""

from __future__ import annotations

from onnx import TensorProto

from edgecnn.graph.edit import Graph, Node, Value, from_onnx, to_onnx

ANSWERS = ("uint8", "float32")


def float_answers(graph: Graph) -> Graph:
    """A QDQ graph with its output dequantized: float32 values on the grid of the uint8 that it gave."""
    edited = from_onnx(to_onnx(graph))
    (output,) = edited.outputs
    rounding = _last_rounding(edited, output.name)
    rounding.outputs = [f"{output.name}.q"]
    last = Node("DequantizeLinear", f"{output.name}.dq", [*rounding.outputs, *rounding.inputs[1:]], [output.name])
    edited.insert_after(rounding, last)
    edited.outputs = [Value(output.name, TensorProto.FLOAT, output.shape)]
    edited.prune()
    return from_onnx(to_onnx(edited))


def _last_rounding(graph: Graph, value: str) -> Node:
    """What rounds a value, taken out of the graph's end; symmetric activations have more behind it, which goes."""
    node = graph.producer(value)
    assert node is not None, f"{value} is made by a node"
    if node.op == "QuantizeLinear":
        return node
    graph.nodes.remove(node)
    return _last_rounding(graph, node.inputs[0])
