"""What the steps say about a node that has no canonical form."""

from __future__ import annotations

from edgecnn.errors import UsageError
from edgecnn.graph.edit import Node


def where(node: Node) -> str:
    """Operation and layer, for messages."""
    return f"{node.op} in layer '{node.scope or node.name}'"


def refuse_auto_pad(node: Node) -> None:
    """UsageError where margins are to be worked out at run time."""
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", ""):
        raise UsageError(f"{where(node)}: auto_pad is not supported; export with explicit pads")
