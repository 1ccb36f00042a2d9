"""LiteRT: which operators XNNPACK took, read from the interpreter's execution plan.

The delegate appears there as one more operator with the tensors of what it replaced at its ends; what lies between
is found by walking back from its outputs to its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecnn.edge.runtimes.litert import RUNTIME
from edgecnn.inspection.kernels import Kernel

DELEGATE = "DELEGATE"
INTEGERS = ("int8", "uint8")


class LiteRTEngine:
    """XNNPACK, or the built-in kernels."""

    name = "litert"
    source = "the interpreter's plan"

    def kernels(self, model: Path) -> Mapping[str, Kernel]:
        """By the operators' places in the file."""
        plan = RUNTIME.open(model, 1).plan()
        delegated = _delegated(plan)
        found = {}
        for op in plan:
            if op["op_name"] != DELEGATE:
                taken = op["index"] in delegated
                found[str(op["index"])] = Kernel("XNNPACK" if taken else "built-in", _integer(op), taken)
        return found


def _delegated(plan: list[dict[str, Any]]) -> set[int]:
    """The operators that a delegate replaced."""
    makers = {int(made): op for op in plan if op["op_name"] != DELEGATE for made in op["outputs"]}
    found: set[int] = set()
    for delegate in (op for op in plan if op["op_name"] == DELEGATE):
        given = {int(tensor) for tensor in delegate["inputs"]}
        wanted = [int(tensor) for tensor in delegate["outputs"]]
        while wanted:
            tensor = wanted.pop()
            op = makers.get(tensor)
            if op is None or tensor in given or op["index"] in found:
                continue
            found.add(op["index"])
            wanted += [int(tensor) for tensor in op["inputs"] if tensor >= 0]
    return found


def _integer(op: dict[str, Any]) -> bool:
    """Whether its first tensor in or out is of 8 bits (conversions have one such end)."""
    return any(kind.__name__ in INTEGERS for kind in (*op["operand_types"][:1], *op["result_types"][:1]))


ENGINE = LiteRTEngine()
