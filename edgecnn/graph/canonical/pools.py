"""Pools, of windows and of whole pictures."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.nodes import refuse_auto_pad, where
from edgecnn.graph.edit import Graph, Node

SPATIAL = [2, 3]


def complete_pool(graph: Graph) -> None:
    """Every pool says its strides and margins; `ceil_mode` becomes margins at the end."""
    for node in graph.each("MaxPool", "AveragePool"):
        refuse_auto_pad(node)
        given = node.attributes
        kernel = given["kernel_shape"]
        strides, pads = given.get("strides", [1, 1]), list(given.get("pads", [0, 0, 0, 0]))
        if given.get("dilations", [1, 1]) != [1, 1] or given.get("storage_order", 0) or len(kernel) != 2:
            raise UsageError(f"{where(node)}: only plain 2-D pooling is supported")
        size, output = graph.shapes[node.inputs[0]][2:], graph.shapes[node.output][2:]
        if given.get("ceil_mode", 0):
            if given.get("count_include_pad", 0) and any(pads):
                raise UsageError(f"{where(node)}: ceil_mode with count_include_pad has no canonical form")
            for axis in range(2):
                reach = (output[axis] - 1) * strides[axis] + kernel[axis]
                pads[axis + 2] = max(0, reach - size[axis] - pads[axis])
        node.attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        if node.op == "AveragePool":
            node.attributes["count_include_pad"] = int(bool(given.get("count_include_pad", 0)) and any(pads))


def name_global_pools(graph: Graph) -> None:
    """A mean or maximum over rows and columns becomes GlobalAveragePool or ReduceMax, then Flatten."""
    for node in graph.each("ReduceMean", "ReduceMax", "GlobalAveragePool", "GlobalMaxPool"):
        source = node.inputs[0]
        if len(graph.shapes[source]) != 4:
            raise UsageError(f"{where(node)}: only means and maxima over rows and columns are supported")
        if node.op.startswith("Reduce"):
            axes = graph.constants[node.inputs[1]].tolist() if len(node.inputs) > 1 else node.attributes.get("axes", [])
            if sorted(axis % 4 for axis in axes) != SPATIAL:
                raise UsageError(f"{where(node)}: only means and maxima over rows and columns are supported")
        flat = node.op.startswith("Reduce") and not node.attributes.get("keepdims", 1)
        if node.op in ("ReduceMean", "GlobalAveragePool"):
            node.op, node.inputs, node.attributes = "GlobalAveragePool", [source], {}
        else:
            axes_name = graph.constant("rows_and_columns", np.array(SPATIAL, np.int64))
            node.op, node.inputs, node.attributes = "ReduceMax", [source, axes_name], {"keepdims": 1}
        if flat:
            pooled = f"{node.output}.pooled"
            flatten = Node("Flatten", f"{node.name}.flatten", [pooled], list(node.outputs), {"axis": 1}, node.scope)
            node.outputs = [pooled]
            graph.insert_after(node, flatten)
