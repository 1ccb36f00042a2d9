"""A classifier from anywhere: uint8 pictures -> what its input wants, and its answers -> one row a picture.

What a file says about its input is its shape and type, sometimes a scale. What pixels stand for it does not say: that
is `Normalisation`, and comes from the user or from the file's metadata. Everything here runs in a child process
(child.py), since the file may be of any origin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.edge.child import alive
from edgecnn.edge.pixels import CHANNELS
from edgecnn.edge.rounding import nearest_points
from edgecnn.edge.runtimes import Array, Port, Session, find_runtime
from edgecnn.errors import UnusableFile, UsageError, blaming, plural
from edgecnn.records import from_json, to_json

LAYOUTS = ("NHWC", "NCHW")
FLOATS, INTEGERS = ("float32", "float16"), {"uint8": 0, "int8": 128}
"""Types of inputs that take pictures; of the integers, what is taken off a pixel to fit it in."""


LARGEST, LARGEST_BATCH = 2048, 1024
"""Pixels a side and pictures at a time: beyond, a size is more likely damage than meant."""


@dataclass(frozen=True)
class Normalisation:
    """(pixel / 255 - mean) / std, one number a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or len(self.mean) not in CHANNELS:
            raise UsageError(
                "mean and std are three numbers each, for red, green and blue pixels from 0 to 1, or one each for grey"
            )
        if not all(np.isfinite(self.mean)) or not all(np.isfinite(self.std)) or 0 in self.std:
            raise UsageError("mean and std must be finite, and std not 0")


@dataclass(frozen=True)
class PictureInput:
    """How pictures go into a model. `batch` is how many at a time, `layout` the order of an input's axes."""

    batch: int
    height: int
    width: int
    layout: str
    dtype: str
    normalisation: Normalisation | None
    scale: float | None = None
    zero_point: int | None = None
    channels: int = 3

    def json(self) -> Any:
        """For a request to a child."""
        return to_json(self)

    def encode(self, images: Array) -> Array:
        """uint8 [N, height, width, channels], RGB or grey -> [N, ...] as the model takes it."""
        values = self._values(images)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if self.layout == "NCHW" else values)

    def _values(self, images: Array) -> Array:
        if self.normalisation is None:
            return (images.astype(np.int16) - INTEGERS[self.dtype]).astype(self.dtype)
        mean, std = np.array(self.normalisation.mean), np.array(self.normalisation.std)
        values = (images / 255.0 - mean) / std
        if self.dtype in FLOATS:
            return np.asarray(values, self.dtype)
        assert self.scale is not None, "whole numbers are normalised only where they have a scale"
        return nearest_points(values, self.scale, self.zero_point or 0, self.dtype)


@dataclass(frozen=True)
class Ports:
    """What a file says about its ends."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def picture_input(
    path: Path,
    ports: Ports,
    normalisation: Normalisation | None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
) -> PictureInput:
    """How pictures go in, by the file's word and what the user adds.

    Raises UnusableFile for a model that takes no pictures, UsageError for what the file leaves open and nobody said.
    """
    if len(ports.inputs) != 1 or not ports.outputs:
        raise UnusableFile(
            f"{path}: has {len(ports.inputs)} inputs and {len(ports.outputs)} outputs; a classifier of pictures has "
            "one input"
        )
    port = ports.inputs[0]
    if len(port.shape) != 4 or (port.dtype not in FLOATS and port.dtype not in INTEGERS):
        raise UnusableFile(
            f"{path}: takes {port.dtype} {list(port.shape)}; pictures are [N, H, W, C] or [N, C, H, W] of uint8, int8 "
            "or floats, with 3 channels or 1"
        )
    layout = _layout(path, port.shape, layout)
    batch, height, width, channels = (port.shape[layout.index(axis)] for axis in "NHWC")
    channels = channels or (3 if normalisation is None else len(normalisation.mean))
    height, width = _size(path, (height, width), size)
    if max(height, width) > LARGEST or batch > LARGEST_BATCH:
        raise UnusableFile(
            f"{path}: takes {batch} pictures of {height}x{width}; no more than {LARGEST_BATCH} of {LARGEST} pixels a "
            "side are tried"
        )
    if port.dtype in FLOATS and normalisation is None:
        raise UsageError(
            f"{path}: takes {port.dtype} and does not say what pixels it wants: give --mean and --std for values from "
            "0 to 1 (--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 for torchvision's weights)"
        )
    if normalisation is not None and len(normalisation.mean) != channels:
        raise UsageError(
            f"{path}: takes pictures of {plural(channels, 'channel')}; mean and std are one number "
            f"for each, not {len(normalisation.mean)}"
        )
    if normalisation is not None and port.dtype in INTEGERS and port.scale is None:
        raise UsageError(
            f"{path}: takes {port.dtype} without a scale, so pixels go in as they are; leave out --mean and --std"
        )
    return PictureInput(
        max(1, batch), height, width, layout, port.dtype, normalisation, port.scale, port.zero_point, channels
    )


def _layout(path: Path, shape: tuple[int, ...], given: str | None) -> str:
    possible = [layout for layout in LAYOUTS if shape[layout.index("C")] in (0, *CHANNELS)]
    colour, grey = ([layout for layout in possible if shape[layout.index("C")] == channels] for channels in (3, 1))
    certain = colour or grey  # three is hardly a height or width; one may be a picture's that is a line
    if given is not None and given in possible:
        return given
    if not possible or given is not None:
        raise UnusableFile(
            f"{path}: takes {list(shape)}; pictures are [N, H, W, C] or [N, C, H, W] with 3 channels or 1"
        )
    if len(certain) != 1:
        raise UsageError(f"{path}: takes {list(shape)}, which may be either; give --layout NHWC or --layout NCHW")
    return certain[0]


def _size(path: Path, known: tuple[int, int], given: tuple[int, int] | None) -> tuple[int, int]:
    if given is None:
        if 0 in known:
            raise UsageError(f"{path}: leaves the picture's size open; give it with --input-size")
        return known
    if any(have not in (0, want) for have, want in zip(known, given, strict=True)):
        raise UsageError(f"{path}: takes pictures of {known[0]}x{known[1]}, not of {given[0]}x{given[1]}")
    return given


# --- in the child ----------------------------------------------------------------------------------------------------


def ports_of(request: Mapping[str, Any]) -> Any:
    """`Ports` of the file `path` in the engine `runtime`, as JSON."""
    session = _open(request)
    return to_json(Ports(session.inputs, session.outputs))


def answer(request: Mapping[str, Any]) -> Any:
    """Run the file `path` over the pictures in the .npy file `images`; float32 [N, K] go into the .npy file `answers`.

    `input` is a PictureInput as JSON. Returns how many values a picture gets. UnusableFile where the engine fails.
    """
    given = from_json(PictureInput, request["input"])
    session = _open(request)
    images = np.load(request["images"], mmap_mode="r", allow_pickle=False)
    rows = np.concatenate(list(_rows(Path(request["path"]), session, given, images)))
    np.save(request["answers"], rows, allow_pickle=False)
    return rows.shape[1]


def _open(request: Mapping[str, Any]) -> Session:
    return find_runtime(request["runtime"]).open(Path(request["path"]), request["threads"])


def _rows(path: Path, session: Session, given: PictureInput, images: Array) -> Iterator[Array]:
    """float32 [n, K] a batch; the last batch is filled up with its last picture."""
    for start in range(0, len(images), given.batch):
        part = images[start : start + given.batch]
        filled = part[np.minimum(np.arange(given.batch), len(part) - 1)]
        with blaming(path, "run"):
            raw = session.run(given.encode(filled))
        alive()
        yield _values(path, raw, session.outputs[0], given.batch)[: len(part)]


def _values(path: Path, raw: Array, port: Port, batch: int) -> Array:
    """float32 [batch, K], one row a picture; a scale that is the same for all changes no order, and is applied."""
    raw = np.asarray(raw)
    ends_well = raw.ndim > 1 and raw.shape[0] == batch and 0 < raw.size == batch * max(raw.shape[1:])
    if not ends_well or raw.dtype.kind not in "fiu":
        raise UnusableFile(f"{path}: answers with {list(raw.shape)}; a classifier answers with [N, K]")
    values = raw.reshape(batch, -1).astype(np.float32)
    if port.scale is None or raw.dtype.kind == "f":
        return values
    return np.asarray((values - np.float32(port.zero_point or 0)) * np.float32(port.scale))
