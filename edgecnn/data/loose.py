"""Pictures without a data set's layout: all below a folder, with classes only where the folders' names say them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.data.pictures import Pictures, blank
from edgecnn.data.walk import find_pictures, holds_pictures, passed_over
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile


@dataclass(frozen=True)
class Loose:
    """Pictures of a folder; `labelled` says whether their classes mean anything, `notes` what was left out."""

    pictures: Pictures
    labelled: bool
    notes: tuple[str, ...]


def read_loose(
    folder: Path,
    size: tuple[int, int],
    resize: str,
    labels: Sequence[str] = (),
    limit: int | None = None,
    channels: int = 3,
) -> Loose:
    """The pictures below a folder, brought to `size` (height, width) by a resize rule, with 3 channels or 1.

    Where each of them lies in a folder that is called as one of `labels`, that is its class. With a limit, so many are
    drawn, the same each time. Raises UnusableFile where there is none that can be read.
    """
    if not folder.is_dir():
        raise UnusableFile(f"{folder}: there is no such folder of pictures")
    paths, others = find_pictures(folder)
    beside = passed_over(folder, {str(folder): others})
    if limit is not None and len(paths) > limit:
        paths = [paths[i] for i in sorted(np.random.default_rng(0).permutation(len(paths))[:limit].tolist())]
    images = blank(len(paths), *size, channels)
    kept: list[Path] = []
    notes = [beside] if holds_pictures(others) else []
    for path in paths:
        try:
            images[len(kept)] = pixels.load(path, *size, resize, channels)
            kept.append(path)
        except UnusableFile as error:
            notes.append(f"left out: {error}")
    if not kept:
        also = f"; {beside}" if beside else ""
        raise UnusableFile(f"{folder}: holds no picture that can be read (JPEG, PNG, BMP or WebP){also}")
    places = {label: place for place, label in enumerate(labels)}
    classes = [places.get(path.relative_to(folder).parts[0], -1) for path in kept]
    labelled = min(classes) >= 0
    if not labelled and max(classes) >= 0:
        stray = kept[classes.index(-1)].relative_to(folder)
        notes.append(
            f"{folder}: {stray} lies in no folder that is called as a class, so that no picture's class is known"
        )
    found = np.array(classes if labelled else [0] * len(kept), np.int64)
    names = tuple(str(path.relative_to(folder)) for path in kept)
    return Loose(Pictures(images[: len(kept)], found, names), labelled, tuple(notes))
