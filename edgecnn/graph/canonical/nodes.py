"""What several steps need: the operations with weights, their biases, and what to say where there is no form."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.edit import Graph, Node

WEIGHTED = ("Conv", "ConvTranspose", "Gemm")
"""Operations with weights and a bias for their second and third inputs."""


def where(node: Node) -> str:
    """Operation and layer, for messages."""
    return f"{node.op} in layer '{node.scope or node.name}'"


def refuse_auto_pad(node: Node) -> None:
    """UsageError where margins are to be worked out at run time."""
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", ""):
        raise UsageError(f"{where(node)}: auto_pad is not supported; export with explicit pads")


def add_bias(graph: Graph, node: Node, count: int) -> None:
    """Give a node with weights a bias of `count` zeros where it has none."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        node.inputs = [*node.inputs[:2], graph.constant(f"{node.name}.bias", np.zeros(count, np.float32))]
