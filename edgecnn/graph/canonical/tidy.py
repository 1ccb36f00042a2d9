"""What does nothing goes; flattening and clipping have one form each."""

from __future__ import annotations

import numpy as np
import onnx

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.channels import shuffle_at
from edgecnn.graph.canonical.nodes import where
from edgecnn.graph.edit import Graph


def drop_what_does_nothing(graph: Graph) -> None:
    """Constant nodes become constants; Identity, Dropout and casts of constants vanish."""
    for node in graph.each("Constant"):
        graph.constants[node.output] = onnx.numpy_helper.to_array(node.attributes["value"])
        graph.nodes.remove(node)
    for node in graph.each("Cast"):
        if node.inputs[0] in graph.constants:
            kind = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
            graph.constants[node.output] = graph.constants[node.inputs[0]].astype(kind)
            graph.nodes.remove(node)
    for node in graph.each("Identity", "Dropout"):
        graph.bypass(node)


def name_flatten(graph: Graph) -> None:
    """A Reshape or Squeeze of [N, C, H, W] to [N, C * H * W] becomes Flatten; one that changes nothing vanishes."""
    shuffles = [node for first in graph.each("Reshape") for node in shuffle_at(graph, first) or ()]
    for node in graph.each("Reshape", "Squeeze", "Flatten", "Unsqueeze"):
        if node in shuffles:
            continue
        before, after = graph.shapes.get(node.inputs[0]), graph.shapes.get(node.output)
        if before is None or after is None:
            continue
        if before == after:
            graph.bypass(node)
        elif len(after) == 2 and after[0] == before[0]:
            node.op, node.inputs, node.attributes = "Flatten", node.inputs[:1], {"axis": 1}
        else:
            raise UsageError(f"{where(node)}: reshaping {list(before)} to {list(after)} is not supported; flatten only")


def plain_clip(graph: Graph) -> None:
    """Clip's bounds are constants 0 and 6; Clip from 0 without an upper bound is Relu."""
    for node in graph.each("Clip"):
        low, high = (
            float(graph.constants[node.inputs[i]]) if len(node.inputs) > i and node.inputs[i] else None for i in (1, 2)
        )
        if low != 0.0 or high not in (6.0, None):
            raise UsageError(f"{where(node)}: only relu and relu6 can be clipped to, not [{low}, {high}]")
        if high is None:
            node.op, node.inputs = "Relu", node.inputs[:1]
        else:
            bounds = [("relu6.low", 0.0), ("relu6.high", 6.0)]
            graph.constants.update({name: np.array(value, np.float32) for name, value in bounds})
            node.inputs = [node.inputs[0], *(name for name, _ in bounds)]


def check_activations(graph: Graph) -> None:
    """HardSigmoid is relu6(x + 3) / 6; UsageError for another slope."""
    for node in graph.each("HardSigmoid"):
        slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
        if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
            raise UsageError(f"{where(node)}: only relu6(x + 3) / 6 is supported, not clip({slope:g} x + {offset:g})")
        node.attributes = {"alpha": 1.0 / 6.0, "beta": 0.5}
