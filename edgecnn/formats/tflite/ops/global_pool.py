"""GlobalAveragePool -> MEAN, ReduceMax over rows and columns -> REDUCE_MAX, both straight to [N, C].

MEAN with keepDims=False into FULLY_CONNECTED is bit-identical between runtimes; with keepDims=True it is not.
"""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("GlobalAveragePool")
def mean(op: Op, builder: Builder) -> None:
    """The mean over rows and columns."""
    _reduce("MEAN", op, builder)


@writes("ReduceMax")
def reduce_max(op: Op, builder: Builder) -> None:
    """The maximum over rows and columns."""
    _reduce("REDUCE_MAX", op, builder)


def _reduce(code: str, op: Op, builder: Builder) -> None:
    if any(consumer.type != "Flatten" for consumer in builder.program.consumers(op.output)):
        raise UsageError(f"layer '{op.name}': TFLite's writer wants a flatten or dense layer after a global pool")
    options = schema.ReducerOptionsT()
    options.keepDims = False
    axes = builder.constant(f"{op.name}/axes", np.array([1, 2], np.int32))
    version = 1 if op.output.grid is None else 2
    builder.operator(code, version, [builder.tensor(op.inputs[0]), axes], [builder.flat(op.output)], options)
