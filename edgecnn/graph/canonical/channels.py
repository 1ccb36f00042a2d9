"""Cutting a tensor's channels apart, and putting them in another order."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.nodes import where
from edgecnn.graph.edit import Array, Graph, Node

CHANNELS = 1


def name_slices(graph: Graph) -> None:
    """Split, and Slice of any spelling, become Slice nodes over channels with constants start, end, axis and step 1."""
    for node in graph.each("Split"):
        axis = int(node.attributes.get("axis", 0)) % len(graph.shapes[node.inputs[0]])
        ends = np.cumsum([graph.shapes[made][axis] for made in node.outputs]).tolist()
        starts = [0, *ends[:-1]]
        parts = [
            _slice(graph, node, f"{node.name}.{i}", (start, end, axis), made)
            for i, (start, end, made) in enumerate(zip(starts, ends, node.outputs, strict=True))
        ]
        graph.insert_after(node, *parts)
        graph.nodes.remove(node)
    for node in graph.each("Slice"):
        shape = graph.shapes[node.inputs[0]]
        starts, ends, axes, steps = _slice_constants(graph, node, len(shape))
        if len(axes) != 1 or axes[0] % len(shape) != CHANNELS or steps != [1] or len(shape) != 4:
            raise UsageError(f"{where(node)}: only channels of [N, C, H, W] can be sliced, one after the other")
        start, end, _ = slice(starts[0], ends[0]).indices(shape[CHANNELS])
        plain = _slice(graph, node, node.name, (start, end, CHANNELS), node.output)
        node.inputs, node.attributes = plain.inputs, {}


def _slice(graph: Graph, node: Node, name: str, place: tuple[int, int, int], made: str) -> Node:
    kinds = ("start", "end", "axis")
    constants = [
        graph.constant(f"{name}.{kind}", np.array([value], np.int64)) for kind, value in zip(kinds, place, strict=True)
    ]
    return Node("Slice", name, [node.inputs[0], *constants], [made], {}, node.scope)


def _slice_constants(graph: Graph, node: Node, rank: int) -> tuple[list[int], list[int], list[int], list[int]]:
    given = [graph.constants[name].tolist() if name in graph.constants else None for name in node.inputs[1:] if name]
    if len(given) < 2 or None in given:
        raise UsageError(f"{where(node)}: only slices between fixed places are supported")
    starts, ends, *rest = (list(values) for values in given if values is not None)
    axes = rest[0] if rest else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    return starts, ends, axes, steps


def name_shuffles(graph: Graph) -> None:
    """Reshape, Transpose, Reshape that only reorders channels becomes Gather (ShuffleNet, arXiv:1707.01083)."""
    for first in graph.each("Reshape"):
        swap = graph.only_consumer(first.output, "Transpose")
        last = graph.only_consumer(swap.output, "Reshape") if swap is not None else None
        if swap is None or last is None:
            continue
        order = _channel_order(graph, first, swap, last)
        if order is None:
            continue
        constant = graph.constant(f"{last.name}.order", order)
        gather = Node("Gather", last.name, [first.inputs[0], constant], list(last.outputs), {"axis": CHANNELS})
        gather.scope = last.scope or swap.scope or first.scope
        graph.nodes[graph.nodes.index(last)] = gather
        graph.nodes.remove(first)
        graph.nodes.remove(swap)


def _channel_order(graph: Graph, first: Node, swap: Node, last: Node) -> Array | None:
    """int64 [C]: the source of each channel, or None where the three nodes do something else."""
    before, inside = graph.shapes[first.inputs[0]], graph.shapes[first.output]
    after = graph.shapes[last.output]
    if len(before) != 4 or before != after or len(inside) != 5 or inside[:1] + inside[3:] != before[:1] + before[2:]:
        return None
    if swap.attributes.get("perm") != [0, 2, 1, 3, 4]:
        return None
    groups, each = inside[1:3]
    order: Array = np.arange(groups * each, dtype=np.int64).reshape(groups, each).T.reshape(-1)
    return order
