"""Folders of small photos: real pictures of the bundled CIFAR-10, with copies and bursts planted among them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.data.sources import find_source

Image = NDArray[np.uint8]

CLASSES = ("cat", "ship", "truck")


@cache
def real(label: str, part: str = "train") -> tuple[Image, ...]:
    """The bundled pictures of a class: uint8 [32, 32, 3] each."""
    source = find_source("cifar10_mini")
    pictures = source.read(source.locate(None) or Path(), part)
    return tuple(pictures.images[pictures.classes == source.labels.index(label)])


def write(path: Path, image: Image) -> None:
    """A picture file, of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])


def photos(root: Path, count: int = 20, classes: tuple[str, ...] = CLASSES) -> Path:
    """`root`/<class>/<number>.png: so many of each class."""
    for label in classes:
        for number, image in enumerate(real(label)[:count]):
            write(root / label / f"{number:03}.png", image)
    return root


COPIES: tuple[Callable[[Image], Image], ...] = (
    lambda image: cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC),
    lambda image: np.clip(image.astype(np.int32) + 12, 0, 255).astype(np.uint8),
    lambda image: np.ascontiguousarray(image[:, ::-1]),
)
"""Resized, brightened, mirrored; written as JPEG they are encoded anew too."""


def plant_copies(root: Path, label: str, numbers: range) -> list[set[str]]:
    """Three copies of each of those pictures, as JPEG files; the names of what must stay together."""
    planted = []
    for number in numbers:
        names = {f"{label}/{number:03}.png"}
        for way, copy in enumerate(COPIES):
            names.add(f"{label}/copy{way}-{number:03}.jpg")
            write(root / label / f"copy{way}-{number:03}.jpg", copy(real(label)[number]))
        planted.append(names)
    return planted


def plant_bursts(root: Path, label: str, bursts: int, shots: int = 4) -> list[set[str]]:
    """Bursts of pictures that have nothing in common but the time in their names; the names of each."""
    images = iter(real(label)[100:])
    planted = []
    for burst in range(bursts):
        names = [f"{label}/IMG_20261125_12{burst:02}{10 + shot:02}.jpg" for shot in range(shots)]
        for name in names:
            write(root / name, next(images))
        planted.append(set(names))
    return planted
