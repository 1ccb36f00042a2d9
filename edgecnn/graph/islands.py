"""Groups of operations that have no int8 form, read as one operation: a float island in an int8 graph.

L2Pool: the root of the mean of a window's squares (TFLite's L2_POOL_2D), Mul(x, x) -> AveragePool -> Sqrt.
StochasticPool: the mean of a window weighted by its own values, as Zeiler and Fergus test their pooling
(arXiv:1301.3557, section 3.2): p = Max(x, tiny), AveragePool(p * p) / AveragePool(p).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecnn.graph.edit import Graph, Node


@dataclass(frozen=True)
class Island:
    """One group: `nodes` in order, of which the last gives the output; the attributes are those of its pool."""

    type: str
    source: str
    nodes: tuple[Node, ...]
    attributes: Mapping[str, Any]

    @property
    def last(self) -> Node:
        """The node that gives the output."""
        return self.nodes[-1]


def island_at(graph: Graph, first: Node) -> Island | None:
    """The group that begins at a node; None where none does."""
    return _l2_pool(graph, first) or _stochastic_pool(graph, first)


def inside_islands(graph: Graph) -> set[str]:
    """The names of all nodes that belong to such groups."""
    found = (island_at(graph, node) for node in graph.nodes)
    return {node.name for island in found if island is not None for node in island.nodes}


def _square(node: Node | None) -> bool:
    return node is not None and node.op == "Mul" and node.inputs[0] == node.inputs[1]


def _l2_pool(graph: Graph, square: Node) -> Island | None:
    pool = graph.only_consumer(square.output, "AveragePool") if _square(square) else None
    root = graph.only_consumer(pool.output, "Sqrt") if pool is not None else None
    return Island("L2Pool", square.inputs[0], (square, pool, root), pool.attributes) if pool and root else None


def _stochastic_pool(graph: Graph, first: Node) -> Island | None:
    if first.op != "Max" or len(first.inputs) != 2 or first.inputs[1] not in graph.constants:
        return None
    takers = graph.consumers(first.output)
    square, weight = (next((t for t in takers if t.op == op), None) for op in ("Mul", "AveragePool"))
    if len(takers) != 2 or square is None or weight is None or not _square(square):
        return None
    weighted = graph.only_consumer(square.output, "AveragePool")
    share = graph.only_consumer(weight.output, "Div")
    if weighted is None or share is None or share.inputs != [weighted.output, weight.output]:
        return None
    attributes = {**weight.attributes, "least": float(graph.constants[first.inputs[1]])}
    return Island("StochasticPool", first.inputs[0], (first, square, weighted, weight, share), attributes)
