"""Something to run a model on, of the shape and type that its file declares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecnn.edge.runtimes import Array, Port
from edgecnn.errors import UnusableFile, UsageError

MOST_BYTES = 2**30
_CHANNELS = (1, 3, 4)


def filled(ports: Sequence[Port], size: tuple[int, int] | None, path: Path) -> list[Array]:
    """An array for each input: grey values in a fixed disorder; numbers that may be places of something are 0.

    size: height and width for a picture whose file leaves them open. An open batch is 1. Raises UsageError for another
    open size, UnusableFile for what numpy has no type for and for inputs beyond a GiB.
    """
    return [_filled(port, fixed_shape(port, size, path), path) for port in ports]


def fixed_shape(port: Port, size: tuple[int, int] | None, path: Path) -> tuple[int, ...]:
    """The port's shape with nothing left open; UsageError where that would be a guess."""
    shape = [1 if place == 0 and not length else length for place, length in enumerate(port.shape)]
    if size is not None and len(shape) == 4:
        rows = 2 if shape[1] in _CHANNELS and shape[3] not in _CHANNELS else 1  # NCHW, or NHWC
        channels = 1 if rows == 2 else 3
        shape[rows : rows + 2] = [have or wanted for have, wanted in zip(shape[rows : rows + 2], size, strict=True)]
        shape[channels] = shape[channels] or 3
    if 0 in shape:
        said = "x".join(str(length) if length else "?" for length in port.shape)
        raise UsageError(
            f"{path}: leaves the size of its input '{port.name}' open ({said}); give a picture's with --input-size, or "
            "write the file again with fixed sizes"
        )
    return tuple(shape)


def _filled(port: Port, shape: tuple[int, ...], path: Path) -> Array:
    try:
        dtype = np.dtype(port.dtype)
    except TypeError as error:
        raise UnusableFile(f"{path}: its input '{port.name}' takes {port.dtype}, which can't be measured") from error
    count = math.prod(shape)
    if count * dtype.itemsize > MOST_BYTES:
        raise UnusableFile(f"{path}: its input '{port.name}' takes {count * dtype.itemsize / 2**30:,.0f} GiB")
    grey = np.resize(np.arange(256, dtype=np.uint8) * np.uint8(181) ^ np.uint8(90), shape)
    if dtype.kind == "f":
        return np.asarray(grey / np.float32(255), dtype)
    return grey.view(dtype) if dtype.itemsize == 1 and dtype.kind in "ui" else np.zeros(shape, dtype)
