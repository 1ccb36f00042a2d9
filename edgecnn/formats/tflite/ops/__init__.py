"""One file an operation (or a few alike): each writes an Op of the program as TFLite operators.

A writer registers itself with `writes`; `WRITERS` is filled by importing every file of this folder.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import Builder
from edgecnn.graph.program import Op

Writer = Callable[[Op, Builder], None]
WRITERS: dict[str, Writer] = {}


def writes(*types: str) -> Callable[[Writer], Writer]:
    """Register a writer for operation types; twice is an error."""

    def register(writer: Writer) -> Writer:
        for kind in types:
            if kind in WRITERS:
                raise ValueError(f"{kind} has two writers")
            WRITERS[kind] = writer
        return writer

    return register


def write_op(op: Op, builder: Builder) -> None:
    """Write one operation; UsageError naming operation, layer and what is supported where there is no writer."""
    if not WRITERS:
        for module in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{module.name}")
    if op.type not in WRITERS:
        raise UsageError(
            f"layer '{op.name}': TFLite has no writer for {op.type}; supported: {', '.join(sorted(WRITERS))}"
        )
    WRITERS[op.type](op, builder)
