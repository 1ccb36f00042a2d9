"""A frame as its source gave it, and what becomes of it: uint8 RGB pixels by the one way there is (edge/pixels.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge import pixels
from edgecnn.edge.pixels import Image, Room, new_room
from edgecnn.errors import UnusableFile

ENCODINGS = ("file", "jpeg", "yuyv", "bgr", "rgb")
"""file: a picture file's bytes, with all that a file may say (EXIF, palettes). jpeg: one picture of an MJPEG stream."""


@dataclass(frozen=True)
class Captured:
    """One frame, not decoded.

    data: uint8, by `encoding`: file and jpeg [N] bytes, yuyv [H, W, 2], bgr and rgb [H, W, 3].
    captured_ns: when the source took it, on the clock of time.monotonic_ns().
    name: which picture it is, where the source has names for them (a folder's files).
    problem: why the source could not give this picture, though more may follow; `data` is empty then.
    """

    data: NDArray[Any]
    encoding: str
    captured_ns: int
    name: str | None = None
    problem: str | None = None


def decode(captured: Captured, room: Room = new_room) -> Image:
    """uint8 [H, W, 3] RGB, where `room` says if that saves a copy.

    UnusableFile where the bytes are damaged, or the source could not give them.
    """
    if captured.problem is not None:
        raise UnusableFile(captured.problem)
    name = captured.name or "a frame"
    if captured.encoding == "file":
        return pixels.decode(captured.data.tobytes(), name)
    if captured.encoding == "rgb":
        return np.ascontiguousarray(captured.data)
    return pixels.decode_frame(captured.data, captured.encoding, name, room)
