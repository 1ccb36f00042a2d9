"""Average pools as depthwise convolutions, which every engine computes to the step."""

from __future__ import annotations

import numpy as np

from edgecnn.graph.edit import Graph
from edgecnn.graph.islands import inside_islands
from edgecnn.graph.program import Op


def average_by_convolution(graph: Graph) -> None:
    """A depthwise convolution with weights 1 / (K * K) in the place of each average pool; the graph is changed.

    LiteRT's int8 AVERAGE_POOL_2D works on one grid for both ends, rounds up to an eighth of the values another way than
    others do, and is not delegated to XNNPACK; OpenVINO counts padding wrongly there. Pools whose margins are not
    counted stay: near the border their weights differ.
    """
    islands = inside_islands(graph)
    for node in graph.each("AveragePool"):
        attributes = node.attributes
        if node.name in islands:
            continue
        if any(attributes["pads"]) and not attributes["count_include_pad"]:
            continue
        channels, (rows, columns) = graph.shapes[node.inputs[0]][1], attributes["kernel_shape"]
        weight, bias = f"{node.name}.weight", f"{node.name}.bias"
        graph.constants[weight] = np.full((channels, 1, rows, columns), 1.0 / (rows * columns), np.float32)
        graph.constants[bias] = np.zeros(channels, np.float32)
        node.op, node.inputs = "Conv", [node.inputs[0], weight, bias]
        places = {key: attributes[key] for key in ("kernel_shape", "strides", "pads")}
        node.attributes = {**places, "dilations": [1, 1], "group": channels}


def is_average(op: Op) -> bool:
    """Whether an operation is a convolution that weighs several values, all alike."""
    if op.type != "Conv" or op.weights is None:
        return False
    weights = op.weights.values
    return weights[0].size > 1 and bool(np.ptp(weights) == 0.0)
