"""Mul -> MUL."""

from __future__ import annotations

from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op, Tensor


@writes("Mul")
def mul(op: Op, builder: Builder) -> None:
    """Two tensors of the same shape, or one number a channel [N, C, 1, 1] with [N, C, H, W]."""
    if len(op.inputs) != 2 or any(not _spreads(given, op.output) for given in op.inputs):
        raise UsageError(f"layer '{op.name}': only tensors of one shape, or of one value a channel, can be multiplied")
    version = 1 if op.output.grid is None else 2
    inputs = [builder.tensor(tensor) for tensor in op.inputs]
    builder.operator("MUL", version, inputs, [builder.tensor(op.output)], schema.MulOptionsT())


def _spreads(given: Tensor, made: Tensor) -> bool:
    return given.shape in (made.shape, (*made.shape[:2], 1, 1))
