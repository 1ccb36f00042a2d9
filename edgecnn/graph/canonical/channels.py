"""Cutting a tensor's channels apart, and shuffling them between groups."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.nodes import where
from edgecnn.graph.edit import Graph, Node

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
    """Reshape, Transpose, Reshape between groups of channels (ShuffleNet, arXiv:1707.01083) get names and constants.

    As one Gather it would be shorter, but OpenVINO 2026.4 folds that into the weights behind it, and wrongly.
    """
    for swap in graph.each("Transpose"):
        _part_from_flatten(graph, swap)
    for first in graph.each("Reshape"):
        nodes = shuffle_at(graph, first)
        if nodes is None:
            continue
        scope = next((node.scope for node in nodes if node.scope), "")
        for node, part in zip(nodes, ("groups", "swap", "shuffle"), strict=True):
            node.scope = f"{scope}.{part}".strip(".")
            if node.op == "Reshape":
                shape = np.array(graph.shapes[node.output], np.int64)
                node.inputs, node.attributes = [node.inputs[0], graph.constant(f"{node.name}.shape", shape)], {}


def _part_from_flatten(graph: Graph, swap: Node) -> None:
    """A shuffle's last Reshape, which the exporter has merged with a flatten behind it, becomes the two of them."""
    last = graph.only_consumer(swap.output, "Reshape")
    first = graph.producer(swap.inputs[0])
    if last is None or first is None or first.op != "Reshape" or len(graph.shapes[last.output]) != 2:
        return
    shape = graph.shapes[first.inputs[0]]
    if len(shape) != 4 or len(graph.shapes[swap.output]) != 5:
        return
    whole = f"{last.output}.whole"
    graph.shapes[whole] = shape
    flat = Node("Flatten", f"{last.name}.flat", [whole], [last.output], {"axis": 1}, last.scope)
    last.outputs = [whole]
    graph.insert_after(last, flat)


def shuffle_at(graph: Graph, first: Node) -> tuple[Node, Node, Node] | None:
    """The three nodes of a shuffle between groups of channels, of which `first` is the first; None where it is none."""
    swap = graph.only_consumer(first.output, "Transpose") if first.op == "Reshape" else None
    last = graph.only_consumer(swap.output, "Reshape") if swap is not None else None
    if swap is None or last is None or swap.attributes.get("perm") != [0, 2, 1, 3, 4]:
        return None
    before, inside, after = (graph.shapes[name] for name in (first.inputs[0], first.output, last.output))
    fits = len(before) == 4 and len(inside) == 5 and inside[0] == before[0] and inside[3:] == before[2:]
    return (first, swap, last) if fits and before == after else None
