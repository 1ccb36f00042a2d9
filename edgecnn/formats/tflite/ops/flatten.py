"""Flatten -> RESHAPE in NHWC order; nothing at all after a global pool."""

from __future__ import annotations

import numpy as np

from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import GLOBAL_POOLS, Op


@writes("Flatten")
def flatten(op: Op, builder: Builder) -> None:
    """[N, H, W, C] -> [N, H * W * C]; who takes it reorders (layout.feature_order)."""
    source = op.inputs[0]
    if source.shape[2:] == (1, 1) and any(made.output == source for made in _global_pools(builder)):
        builder.alias(op.output, builder.flat(source))
        return
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(op.output.shape, np.int32)
    shape = builder.constant(f"{op.name}/shape", np.array(op.output.shape, np.int32))
    builder.operator("RESHAPE", 1, [builder.tensor(source), shape], [builder.tensor(op.output)], options)


def _global_pools(builder: Builder) -> list[Op]:
    return [op for op in builder.program.ops if op.type in GLOBAL_POOLS]
