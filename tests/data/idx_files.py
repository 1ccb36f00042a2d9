"""Small IDX files in MNIST's layout, written byte by byte as its description says; tests share them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 28
PREFIXES = {"train": "train", "test": "t10k"}


def bars(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures uint8 [count, 28, 28] of ten classes, which a net learns in seconds: class k is a bright bar at row
    2k + 4 over noise."""
    random = np.random.default_rng(seed)
    classes = (np.arange(count) % 10).astype(np.uint8)
    images = random.integers(0, 60, (count, SIDE, SIDE), np.uint8)
    for image, row in zip(images, 2 * classes + 4, strict=True):
        image[row : row + 2] = random.integers(170, 256)
    return images, classes


def write_part(folder: Path, part: str, images: NDArray[np.uint8], classes: NDArray[np.uint8], gz: bool) -> None:
    """The two files of "train" or "test": a magic number, sizes and the values, big-endian."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix, suffix = PREFIXES[part], ".gz" if gz else ""
    for name, content in (
        (f"{prefix}-images-idx3-ubyte", struct.pack(">IIII", 0x803, *images.shape) + images.tobytes()),
        (f"{prefix}-labels-idx1-ubyte", struct.pack(">II", 0x801, len(classes)) + classes.tobytes()),
    ):
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content, mtime=0) if gz else content)


def write_set(folder: Path, train: int = 600, test: int = 100, gz: bool = True) -> Path:
    """A whole set of bars; returns its folder."""
    write_part(folder, "train", *bars(train, 0), gz)
    write_part(folder, "test", *bars(test, 1), gz)
    return folder
