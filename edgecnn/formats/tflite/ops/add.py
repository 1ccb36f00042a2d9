"""Add -> ADD."""

from __future__ import annotations

from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import Builder, activation_of, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("Add")
def add(op: Op, builder: Builder) -> None:
    """Two tensors of the same shape."""
    if len(op.inputs) != 2 or op.inputs[0].shape != op.inputs[1].shape:
        raise UsageError(f"layer '{op.name}': only two tensors of one shape can be added")
    options = schema.AddOptionsT()
    options.fusedActivationFunction = activation_of(op)
    version = 1 if op.output.grid is None else 2
    builder.operator("ADD", version, [builder.tensor(t) for t in op.inputs], [builder.tensor(op.output)], options)
