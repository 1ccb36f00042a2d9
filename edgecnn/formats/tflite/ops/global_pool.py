"""GlobalAveragePool -> MEAN, ReduceMax over rows and columns -> REDUCE_MAX.

Both straight to [N, C] where that is what is wanted: MEAN with keepDims=False into FULLY_CONNECTED is bit-identical
between runtimes; with keepDims=True, which a squeeze-and-excitation block needs, it is not.
"""

from __future__ import annotations

import numpy as np

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
    features = builder.program.gives_features(op)
    options = schema.ReducerOptionsT()
    options.keepDims = not features
    axes = builder.constant(f"{op.name}/axes", np.array([1, 2], np.int32))
    version = 1 if op.output.grid is None else 2
    made = builder.flat(op.output) if features else builder.tensor(op.output)
    builder.operator(code, version, [builder.tensor(op.inputs[0]), axes], [made], options)
