"""CIFAR-10 in its official binary layout: 50,000 training and 10,000 test pictures, 32x32, ten classes.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the description of the binary
version at https://www.cs.toronto.edu/~kriz/cifar.html: a record is one label byte and 3,072 pixel bytes (the red, the
green and the blue plane, row by row); six files of 10,000 records.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.pictures import Pictures
from edgecnn.data.places import search_dirs
from edgecnn.data.sources import Archive
from edgecnn.errors import UnusableFile

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
RECORDS = 10_000
RECORD_BYTES = 1 + 3 * 32 * 32
FOLDER = "cifar-10-batches-bin"
ARCHIVE = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    checksum="sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder=FOLDER,
)


@dataclass(frozen=True)
class Cifar10:
    """The full set, as it is downloaded."""

    name: str = "cifar10"
    summary: str = "CIFAR-10: 50,000 training and 10,000 test pictures of ten classes, 32x32"
    labels: tuple[str, ...] = LABELS
    archive: Archive = ARCHIVE
    how_to_get: str = "download them with: edgecnn data get cifar10"

    def locate(self, data_dir: Path | None) -> Path | None:
        """DIR/cifar-10-batches-bin or DIR itself, for each folder that is searched."""
        for folder in search_dirs(data_dir):
            for candidate in (folder / FOLDER, folder):
                if any((candidate / file).is_file() for file in FILES["train"]):
                    return candidate
        return None

    def read(self, folder: Path, part: str) -> Pictures:
        """images uint8 [50000 or 10000, 32, 32, 3]; UnusableFile when a file is missing, cut or not CIFAR-10."""
        images = np.empty((RECORDS * len(FILES[part]), 32, 32, 3), np.uint8)
        classes = np.empty(len(images), np.int64)
        for number, file in enumerate(FILES[part]):
            records = _records(folder / file)
            rows = slice(number * RECORDS, (number + 1) * RECORDS)
            images[rows] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            classes[rows] = records[:, 0]
        return Pictures(images, classes, tuple(f"{part}/{i}" for i in range(len(images))))


def _records(path: Path) -> NDArray[np.uint8]:
    """One file's records: uint8 [10000, 3073]."""
    advice = "get it anew with: edgecnn data get cifar10"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror}); {advice}") from error
    expected = RECORDS * RECORD_BYTES
    if len(content) != expected:
        raise UnusableFile(f"{path}: expected {expected:,} bytes, got {len(content):,}; {advice}")
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, RECORD_BYTES)
    if records[:, 0].max() >= len(LABELS):
        raise UnusableFile(f"{path}: expected classes 0 to 9, got {records[:, 0].max()}; {advice}")
    return records


SOURCE = Cifar10()
