"""What an engine really runs for a file's operations, by its own word: one file an engine, named as its runtime.

A new one is one file here with `ENGINE`, an object that has the parts of `Engine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgecnn.registry import discover


@dataclass(frozen=True)
class Kernel:
    """What runs an operation. `integer`: whether it reads or writes 8 bits; `fast`: whether it is of the kind that the
    engine is chosen for: XNNPACK's in LiteRT, none of the reference kernels in OpenVINO.
    """

    name: str
    integer: bool
    fast: bool = True


class Engine(Protocol):
    """`source` says in a few words how the engine tells it."""

    name: str
    source: str

    def kernels(self, model: Path) -> Mapping[str, Kernel]:
        """The kernel of each operation by one of its aliases; those that are missing run as part of others.

        Whatever the engine says against the file is raised as it is.
        """


def find_engine(runtime: str) -> Engine | None:
    """The engine of a runtime's name; None for one that tells nothing."""
    found: Engine | None = discover(__name__, "ENGINE").get(runtime)
    return found
