"""Flatten -> RESHAPE in NHWC order; nothing at all after a global pool."""

from __future__ import annotations

import numpy as np

from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("Flatten")
def flatten(op: Op, builder: Builder) -> None:
    """[N, H, W, C] -> [N, H * W * C]; who takes it reorders (layout.feature_order)."""
    source = op.inputs[0]
    if builder.program.is_nothing(op):
        builder.alias(op.output, builder.flat(source))
        return
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(op.output.shape, np.int32)
    shape = builder.constant(f"{op.name}/shape", np.array(op.output.shape, np.int32))
    builder.operator("RESHAPE", 1, [builder.tensor(source), shape], [builder.tensor(op.output)], options)
