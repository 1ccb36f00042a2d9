"""A bundled part of CIFAR-10: 5,000 training and 1,000 test pictures, the same number of each class, bit for bit.

It comes with edgecnn (made by tools/make_cifar10_mini), so that everything can be tried without a network. Pictures lie
as tiles in lossless WebP strips, 25 rows of 40; `index.json` has their classes and their places in CIFAR-10.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.pictures import Pictures
from edgecnn.data.sources import Archive
from edgecnn.data.sources.cifar10 import LABELS
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile
from edgecnn.packaged import folder as packaged
from edgecnn.records import read_json
from edgecnn.storage import sha256

ROWS, COLUMNS, SIDE = 25, 40, 32


@dataclass(frozen=True)
class Part:
    """The train or test part: its strips, and for each picture its class and its number in CIFAR-10's own order.

    `sha256` is over all pixels of the part, uint8 [N, 32, 32, 3].
    """

    strips: tuple[str, ...]
    sha256: str
    classes: tuple[int, ...]
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Index:
    """index.json."""

    train: Part
    test: Part
    schema: str = "edgecnn.cifar10_mini/1"


@dataclass(frozen=True)
class Cifar10Mini:
    """The bundled part, a source like any other."""

    name: str = "cifar10_mini"
    summary: str = "5,000 training and 1,000 test pictures of CIFAR-10, 32x32; comes with edgecnn"
    labels: tuple[str, ...] = LABELS
    archive: Archive | None = None
    how_to_get: str = "they come with edgecnn: install it anew"

    def locate(self, data_dir: Path | None) -> Path | None:
        """The folder in the package, whatever `data_dir` is."""
        folder = packaged("cifar10_mini")
        return folder if folder.is_dir() else None

    def read(self, folder: Path, part: str) -> Pictures:
        """images uint8 [5000 or 1000, 32, 32, 3]; names are CIFAR-10's, "train/<number>". UnusableFile when damaged."""
        index = read_json(Index, folder / "index.json")
        chosen = index.train if part == "train" else index.test
        images = np.concatenate([untile(pixels.read(folder / strip)) for strip in chosen.strips])
        if sha256(images.tobytes()) != chosen.sha256:
            raise UnusableFile(
                f"{folder}: the bundled {part} pictures are not what index.json says; install edgecnn anew"
            )
        names = tuple(f"{part}/{number}" for number in chosen.indices)
        return Pictures(images, np.array(chosen.classes, np.int64), names)


def tile(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1,000 pictures uint8 [1000, 32, 32, 3] as one strip uint8 [800, 1280, 3]."""
    grid = images.reshape(ROWS, COLUMNS, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid).reshape(ROWS * SIDE, COLUMNS * SIDE, 3)


def untile(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The reverse of `tile`; UnusableFile when the strip has another size."""
    if strip.shape != (ROWS * SIDE, COLUMNS * SIDE, 3):
        raise UnusableFile(f"a strip of cifar10_mini is {strip.shape[1]}x{strip.shape[0]}; install edgecnn anew")
    grid = strip.reshape(ROWS, SIDE, COLUMNS, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid).reshape(ROWS * COLUMNS, SIDE, SIDE, 3)


SOURCE = Cifar10Mini()
