"""Flatten -> RESHAPE in NHWC order; behind TRANSPOSE at a net's end; nothing at all after a global pool."""

from __future__ import annotations

import numpy as np

from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("Flatten")
def flatten(op: Op, builder: Builder) -> None:
    """[N, H, W, C] -> [N, H * W * C]; who takes it reorders (layout.feature_order).

    The net's own answer is taken by nobody who could: it is brought to the order [N, C * H * W] first.
    """
    source = op.inputs[0]
    if builder.program.is_nothing(op):
        builder.alias(op.output, builder.flat(source))
        return
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(op.output.shape, np.int32)
    given = builder.tensor(source) if op.output.flattened is not None else _channels_first(op, builder)
    shape = builder.constant(f"{op.name}/shape", np.array(op.output.shape, np.int32))
    builder.operator("RESHAPE", 1, [given, shape], [builder.tensor(op.output)], options)


def _channels_first(op: Op, builder: Builder) -> int:
    """[N, H, W, C] -> [N, C, H, W]."""
    source = op.inputs[0]
    moved = builder.intermediate(f"{op.name}/channels_first", source.shape, source.grid)
    order = builder.constant(f"{op.name}/order", np.array([0, 3, 1, 2], np.int32))
    version = 1 if source.grid is None else 2
    builder.operator("TRANSPOSE", version, [builder.tensor(source), order], [moved], schema.TransposeOptionsT())
    return moved
