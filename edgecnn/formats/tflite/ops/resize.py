"""Resize -> RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR; Gather of rows or columns -> GATHER."""

from __future__ import annotations

import numpy as np

from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("Resize")
def resize(op: Op, builder: Builder) -> None:
    """By whole factors, on the input's grid: nearest repeats pixels, bilinear lies between their centres."""
    linear, whole = op.attributes["mode"] == "linear", op.output.grid is not None
    options = schema.ResizeBilinearOptionsT() if linear else schema.ResizeNearestNeighborOptionsT()
    options.halfPixelCenters = linear
    size = builder.constant(f"{op.name}/size", np.array(op.output.shape[2:], np.int32))
    code, version = ("RESIZE_BILINEAR", 3) if linear else ("RESIZE_NEAREST_NEIGHBOR", 2 if whole else 1)
    builder.operator(code, version, [builder.tensor(op.inputs[0]), size], [builder.tensor(op.output)], options)


@writes("Gather")
def gather(op: Op, builder: Builder) -> None:
    """The rows (axis 2) or columns (axis 3) at `places`."""
    options = schema.GatherOptionsT()
    options.axis = op.attributes["axis"] - 1
    places = builder.constant(f"{op.name}/places", np.array(op.attributes["places"], np.int32))
    version = 1 if op.output.grid is None else 2
    builder.operator("GATHER", version, [builder.tensor(op.inputs[0]), places], [builder.tensor(op.output)], options)
