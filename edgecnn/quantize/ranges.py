"""Calibration: the smallest and largest value of every tensor, over pictures.

True minima and maxima are merged: a moving average would cut off what only some pictures reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecnn.edge.runtimes.onnxruntime import library
from edgecnn.errors import UsageError
from edgecnn.graph.edit import Array, Graph, to_onnx
from edgecnn.graph.program import read_program


@dataclass(frozen=True)
class Range:
    """What a tensor was seen to hold."""

    low: float
    high: float


def observe(graph: Graph, images: Array, names: Sequence[str] | None = None) -> dict[str, Range]:
    """The range of each operation's output, or of the values `names`, by value name, over uint8 [N, H, W, C] pictures.

    Raises UsageError where a value is not finite, MissingExtra without onnxruntime.
    """
    onnxruntime = library()
    names = [op.output.value for op in read_program(graph).ops] if names is None else list(names)
    watched = Graph(graph.nodes, graph.constants, graph.inputs, [graph.value(name) for name in names])
    session = onnxruntime.InferenceSession(to_onnx(watched).SerializeToString(), providers=["CPUExecutionProvider"])
    batch = graph.inputs[0].shape[0]
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for start in range(0, len(images) - batch + 1, batch):
        values = session.run(names, {graph.inputs[0].name: images[start : start + batch]})
        low = np.minimum(low, [value.min() for value in values])
        high = np.maximum(high, [value.max() for value in values])
    broken = [name for name, a, b in zip(names, low, high, strict=True) if not np.isfinite([a, b]).all()]
    if broken:
        raise UsageError(f"layer '{broken[0]}' gives values that are not finite; the model can't be quantized")
    return {name: Range(float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}
