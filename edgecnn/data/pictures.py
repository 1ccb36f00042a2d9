"""The records of the data room: what is asked for (`DataSpec`), what comes back (`Pictures`), and who gives it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge import pixels
from edgecnn.edge.machine import free_memory
from edgecnn.errors import OutOfResources, UsageError, nearest

SPLITS = ("train", "val", "test")
BROKEN = ("refuse", "skip")
CACHES = ("auto", "memory", "disk")


@dataclass(frozen=True)
class DataSpec:
    """Which pictures, at what size: all that is needed to open a data set again.

    Either `source` (a registered name) or `folder` (class folders: train/<class>/*, val/<class>/*, test/<class>/*).
    With `splits`, a CSV file, the folder's pictures are in the classes and splits that this list says, and those of the
    class `background` may lie in a folder of their own (listed.py).
    `val_fraction` of each class is held out of train where there are no validation pictures. Sizes are pixels.
    `broken` is what a folder's pictures that can't be decoded are: "refuse", an error, or "skip", left out. `cache` is
    where decoded pictures are held: "memory", "disk", or "auto", which is disk where they would fill the memory.
    `channels` is 3 (RGB) or 1 (grey).
    Raises UsageError where the values make no sense together.
    """

    source: str | None
    folder: str | None
    val_fraction: float
    height: int
    width: int
    resize: str
    broken: str = "refuse"
    cache: str = "auto"
    splits: str | None = None
    background: str | None = None
    channels: int = 3

    def __post_init__(self) -> None:
        if (self.source is None) == (self.folder is None):
            raise UsageError("give either a source (a registered data set) or a folder (class folders)")
        if self.splits is not None and self.folder is None:
            raise UsageError("splits goes with folder: it lists the pictures of one")
        if self.background is not None and self.splits is None:
            raise UsageError("background goes with splits: `edgecnn new FOLDER --background DIR` writes both")
        if not 0.0 < self.val_fraction < 1.0:
            raise UsageError(f"val_fraction is between 0 and 1, got {self.val_fraction}")
        if self.height < 1 or self.width < 1:
            raise UsageError(f"a picture's height and width are at least 1, got {self.height}x{self.width}")
        if self.channels not in pixels.CHANNELS:
            raise UsageError(f"a picture has 3 channels (RGB) or 1 (grey), not {self.channels}")
        pixels.check_rule(self.resize)
        for what, given, known in (("broken", self.broken, BROKEN), ("cache", self.cache, CACHES)):
            if given not in known:
                raise UsageError(f"{what} is one of {', '.join(known)}, got '{given}'{nearest(given, known)}")

    @property
    def form(self) -> str:
        """What pictures are brought to, in words: size, resize rule, and grey where they are."""
        return f"{self.height}x{self.width} {self.resize}{' grey' if self.channels == 1 else ''}"


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures of one split, at the model's size.

    images: uint8 [N, H, W, C], RGB or grey, in memory or a read-only np.memmap (cache.py): nobody writes into it.
    classes: int64 [N], places in `Dataset.labels`. names: N strings, "train/123" or a file's path relative to the data
    folder.
    Raises ValueError when the three don't fit together.
    """

    images: NDArray[np.uint8]
    classes: NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] not in (1, 3):
            raise ValueError(
                f"expected uint8 [N, H, W, 3] or [N, H, W, 1], got {self.images.dtype} {list(self.images.shape)}"
            )
        if self.classes.dtype != np.int64 or self.classes.shape != self.images.shape[:1]:
            raise ValueError(f"expected int64 [{len(self.images)}], got {self.classes.dtype} {self.classes.shape}")
        if len(self.names) != len(self.images):
            raise ValueError(f"expected {len(self.images)} names, got {len(self.names)}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, places: NDArray[np.int64]) -> Pictures:
        """The pictures at `places`, in that order; a run of neighbours is not copied, so a memory map remains one."""
        names = tuple(self.names[i] for i in places)
        if len(places) and places[0] >= 0 and np.array_equal(places, np.arange(places[0], places[0] + len(places))):
            run = slice(int(places[0]), int(places[0]) + len(places))
            return Pictures(self.images[run], self.classes[run], names)
        return Pictures(self.images[places], self.classes[places], names)


@dataclass(frozen=True)
class Broken:
    """A picture that can't be used: its path relative to the data folder, and why."""

    name: str
    reason: str


class Dataset(Protocol):
    """An opened data set."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names; a class is its place here."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about these pictures: sentences, those of a split once it has been loaded."""

    def load(self, split: str) -> Pictures:
        """All pictures of "train", "val" or "test", in an order that is always the same.

        Loading train or val never touches a test file. Raises UsageError for another split, UnusableFile for files
        that are missing or damaged, OutOfResources when the pictures don't fit into memory.
        """


def fingerprint(pictures: Pictures) -> str:
    """SHA-256 over shape, pixels, classes and names, in their order: the same only for the very same pictures."""
    digest = hashlib.sha256(repr(pictures.images.shape).encode())
    for start in range(0, len(pictures), 256):  # a part at a time: they may lie in a file larger than the memory
        digest.update(np.ascontiguousarray(pictures.images[start : start + 256]).data)
    digest.update(pictures.classes.astype("<i8").tobytes())
    digest.update("\0".join(pictures.names).encode(errors="surrogateescape"))
    return digest.hexdigest()


def check_split(split: str) -> None:
    """UsageError when `split` is none of train, val, test."""
    if split not in SPLITS:
        raise UsageError(f"there is no split '{split}'{nearest(split, SPLITS)}")


def blank(count: int, height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    """Room for pictures: uint8 [count, height, width, channels]; OutOfResources when there isn't that much memory."""
    needed, free = count * height * width * channels, free_memory()
    if needed > free:
        raise OutOfResources(
            f"{count:,} pictures of {height}x{width} take {needed / 2**20:,.0f} MiB of memory, and "
            f"{free / 2**20:,.0f} MiB are free; use data.cache=disk, a smaller input.size or fewer pictures"
        )
    return np.empty((count, height, width, channels), np.uint8)
