"""Activations that engines can't compute to the step in one operation, taken apart into ones that they can."""

from __future__ import annotations

from edgecnn.graph.edit import Graph, Node


def split_hard_swish(graph: Graph) -> None:
    """x * hard_sigmoid(x) in the place of hard_swish(x), the gate being rounded in between; the graph is changed.

    XNNPACK's own int8 hard_swish works with 15 bits and is a step off in some values, which a deep network amplifies.
    """
    for node in graph.each("HardSwish"):
        gate = f"{node.name}/gate"
        attributes = {"alpha": 1.0 / 6.0, "beta": 0.5}
        at = graph.nodes.index(node)
        graph.nodes.insert(at, Node("HardSigmoid", gate, [node.inputs[0]], [gate], attributes, node.scope))
        node.op, node.inputs, node.attributes = "Mul", [node.inputs[0], gate], {}
    graph.infer_shapes()
