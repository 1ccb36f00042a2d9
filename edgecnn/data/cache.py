"""Where decoded pictures are kept: in memory, or in a memory-mapped file where they would fill it.

The files lie in the user's cache folder, one folder for each data set, split, size and resize rule:

    <cache>/decoded/<16 letters>/
      images.uint8       the pictures, row by row, nothing else
      about.json         what they were made from: written last, so it is there only when the other is whole
      lock               held while anything here is made; the system lets go of it when its holder is killed
      images.part        pictures being decoded; without a holder of the lock, what a killed process left

A file is used again only while `state` is the same: it covers each picture file's name, size and time of change, and
the code that decodes. A change replaces it in its place, so no data set has two. Another process may go on reading
what was replaced: it has the file open. All of `decoded` may be removed at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.pictures import Broken, blank
from edgecnn.data.places import decoded_dir
from edgecnn.edge import exif, headers, pixels
from edgecnn.edge.machine import free_memory
from edgecnn.errors import OutOfResources, UnusableFile
from edgecnn.records import read_json, write_json
from edgecnn.storage import disk_errors, need_space, sha256, sha256_file, sync_folder

IMAGES, ABOUT, LOCK, PART = "images.uint8", "about.json", "lock", "images.part"
SHARE = 0.5  # of the free memory that one split may take

Images = NDArray[np.uint8]
Fill = Callable[[Images], tuple[Broken, ...]]
"""Decode all pictures into uint8 [N, H, W, C], those that are broken left out and the others closed up in order."""


@dataclass(frozen=True)
class Wanted:
    """`count` pictures at a size. `of` names the data set, split and rule; `state` is another when a picture may be."""

    of: str
    state: str
    count: int
    height: int
    width: int
    channels: int = 3

    @property
    def bytes(self) -> int:
        """What they take when none is broken."""
        return self.count * self.height * self.width * self.channels


@dataclass(frozen=True)
class Held:
    """images: uint8 [N, H, W, C], a read-only memory map where `file` names it. broken: those that are left out."""

    images: Images
    broken: tuple[Broken, ...]
    file: Path | None = None

    def note(self, split: str) -> str:
        """A sentence for the person who trains; only where there is a file."""
        return (
            f"the {split} pictures are decoded once and read from {self.file} ({self.images.nbytes / 2**20:,.1f} MiB), "
            "which may be removed at any time"
        )


@dataclass(frozen=True)
class About:
    """about.json."""

    of: str
    state: str
    count: int
    height: int
    width: int
    broken: tuple[Broken, ...]
    channels: int = 3
    schema: str = "edgecnn.decoded/1"


def hold(wanted: Wanted, where: str, fill: Fill) -> Held:
    """The pictures that `fill` decodes, or their file where it is there and `wanted.state` is the same.

    `where` is "memory", "disk", or "auto": disk where they take more than half of the memory that is free. Two
    processes that want the same file decode it once: one waits. Raises OutOfResources, with what is needed and what is
    free, when they don't fit; UsageError when the cache folder can't be written; and what `fill` raises.
    """
    if where == "disk" or (where == "auto" and wanted.bytes > SHARE * free_memory()):
        return _on_disk(wanted, fill)
    images = blank(wanted.count, wanted.height, wanted.width, wanted.channels)
    broken = fill(images)
    return Held(images[: wanted.count - len(broken)], broken)


def close_up(images: Images, left_out: Sequence[int]) -> None:
    """Move the pictures after each of those at `left_out` up, in their order, one at a time; the last rows are free."""
    places = np.setdiff1d(np.arange(len(images)), left_out)
    for to, place in enumerate(places):
        if to != place:
            images[to] = images[place]


def state_of(names: Sequence[str], paths: Sequence[Path], form: str) -> str:
    """SHA-256 over the files' names, their sizes and times of change, what they are brought to, and all that does it.

    The files are not opened. form: `DataSpec.form`.
    """
    digest = hashlib.sha256(f"{decoder()} {form}".encode())
    for name, path in zip(names, paths, strict=True):
        digest.update(f"\0{name}\0".encode(errors="surrogateescape"))
        with suppress(OSError):  # decoding it says what is wrong
            found = path.stat()
            digest.update(f"{found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()


def decoder() -> str:
    """What turns a file into pixels: our code by its hashes, so that no change is forgotten, and OpenCV's version."""
    import cv2

    ours = (sha256_file(Path(module.__file__ or "")) for module in (pixels, headers, exif))
    return " ".join((*ours, cv2.__version__))


def kept() -> str | None:
    """A sentence saying where decoded pictures are kept and how much that is; None when there are none."""
    folder = decoded_dir()
    files = [path.stat().st_size for name in (IMAGES, PART) for path in folder.glob(f"*/{name}")]
    if not files:
        return None
    return (
        f"{folder} keeps decoded pictures of {len(files)} splits, {sum(files) / 2**20:,.1f} MiB; "
        f"they may be removed at any time: rm -r {folder}"
    )


def _on_disk(wanted: Wanted, fill: Fill) -> Held:
    folder = decoded_dir() / sha256(wanted.of.encode(errors="surrogateescape"))[:16]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        with _locked(folder):
            about = _find(folder, wanted) or _write(folder, wanted, fill)
            return Held(_open(folder / IMAGES, about), about.broken, folder / IMAGES)


def _find(folder: Path, wanted: Wanted) -> About | None:
    """What is there, where it is what is wanted."""
    try:
        about = read_json(About, folder / ABOUT)
        size = (folder / IMAGES).stat().st_size
    except (UnusableFile, FileNotFoundError):
        return None
    same = (about.of, about.state) == (wanted.of, wanted.state)
    whole = size == about.count * wanted.height * wanted.width * wanted.channels
    return about if same and whole else None


def _write(folder: Path, wanted: Wanted, fill: Fill) -> About:
    """Decode into the folder, which holds nothing but the lock until that is done."""
    part = folder / PART
    for name in (ABOUT, IMAGES, PART):
        (folder / name).unlink(missing_ok=True)
    try:
        need_space(folder, wanted.bytes)
    except OutOfResources as error:
        raise OutOfResources(f"{error}, or set XDG_CACHE_HOME to a folder on another disk") from error
    try:
        with part.open("xb") as file:
            # Taken now: a map whose disk fills up later kills the process (SIGBUS) instead of raising.
            os.posix_fallocate(file.fileno(), 0, wanted.bytes)
        height, width, channels = wanted.height, wanted.width, wanted.channels
        images = np.memmap(part, np.uint8, "r+", shape=(wanted.count, height, width, channels))
        broken = fill(images)
        images.flush()
        about = About(wanted.of, wanted.state, wanted.count - len(broken), height, width, broken, channels)
        with part.open("rb+") as file:
            file.truncate(about.count * height * width * channels)
            os.fsync(file.fileno())
        os.replace(part, folder / IMAGES)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    write_json(folder / ABOUT, about)
    return about


def _open(file: Path, about: About) -> Images:
    shape = (about.count, about.height, about.width, about.channels)
    return np.memmap(file, np.uint8, "r", shape=shape) if about.count else np.empty(shape, np.uint8)


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the folder's lock, or without `wait` try to; whether it is held."""
    with (folder / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True  # closing the file lets go of it


def _sweep(decoded: Path) -> None:
    """Remove the unfinished files that no process is at work on."""
    for part in decoded.glob(f"*/{PART}"):
        with _locked(part.parent, wait=False) as held:
            if held:
                part.unlink(missing_ok=True)
