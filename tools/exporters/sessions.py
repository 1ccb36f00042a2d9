"""Model files of any exporter, opened and fed: the same engine and the same code for all files of a format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecnn.edge.runtimes import Port, Session, format_of, runtime_for
from tools.exporters.exporter import Array, normalised

THREADS = 1


def open_file(path: Path) -> Session:
    """The file in the engine of its format, one thread."""
    return runtime_for(format_of(path)).open(path, THREADS)


def inputs_for(port: Port, pixels: Array) -> Array:
    """uint8 [N, H, W, 3] pixels as a file takes them: as they come, or normalised, NCHW or NHWC, on its own grid."""
    if port.dtype == "uint8" and port.scale is None:
        return pixels
    values = normalised(pixels)
    if port.shape[-1] == 3:
        values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
    if port.scale is None:
        return values
    limits = np.iinfo(port.dtype)
    steps = np.rint(values / np.float32(port.scale)) + (port.zero_point or 0)
    return np.asarray(np.clip(steps, limits.min, limits.max).astype(port.dtype))


def logits_of(path: Path, pixels: Array) -> Array:
    """[N, K], as the file gives them, one picture at a time."""
    session = open_file(path)
    given = inputs_for(session.inputs[0], pixels)
    return np.concatenate([session.run(given[i : i + 1]) for i in range(len(given))])
