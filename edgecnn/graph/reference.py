"""What a graph means: its values as ONNX Runtime computes them with every optimization off.

For a QDQ graph this is the reference that int8 files are held to: each operation in float32 between exact grids; for
a float16 graph the one of fp16 files: each operation in float32, and its output rounded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecnn.edge.runtimes.onnxruntime import library
from edgecnn.graph.edit import Array, Graph, to_onnx
from edgecnn.graph.half import is_half, rounded


class Reference:
    """A graph ready to be evaluated at any of its values."""

    def __init__(self, graph: Graph, names: Sequence[str] | None = None) -> None:
        """Watch the values `names`, or else the graph's output. MissingExtra without onnxruntime."""
        onnxruntime = library()
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        self.names = list(names) if names is not None else [value.name for value in graph.outputs]
        graph = rounded(graph) if is_half(graph) else graph
        watched = Graph(graph.nodes, graph.constants, graph.inputs, [graph.value(name) for name in self.names])
        content = to_onnx(watched).SerializeToString()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._image = graph.inputs[0].name
        self._batch = graph.inputs[0].shape[0]

    def values(self, images: Array) -> dict[str, Array]:
        """uint8 [N, H, W, C] -> each watched value, [N, ...]; N is a multiple of the graph's batch."""
        parts = [
            self._session.run(self.names, {self._image: images[i : i + self._batch]})
            for i in range(0, len(images), self._batch)
        ]
        return {name: np.concatenate(found) for name, found in zip(self.names, zip(*parts, strict=True), strict=True)}

    def output(self, images: Array) -> Array:
        """uint8 [N, H, W, C] -> the first watched value, [N, ...]."""
        return self.values(images)[self.names[0]]
