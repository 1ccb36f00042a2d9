"""Which pictures verify measures on: the test split, those that it is given, or those that were kept at export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgecnn.data import Pictures, open_dataset
from edgecnn.data.loose import read_loose
from edgecnn.edge.artifact import ImageInput, read_manifest
from edgecnn.errors import UnusableFile, UsageError, plural
from edgecnn.graph.edit import Array
from edgecnn.verbs.folders import Export
from edgecnn.verbs.foreign import Images, pictures_of

FEW = 100
"""Pictures, below which a certificate says what so few prove: of n that all agree, the 95 % bound for others is
1 - 0.05^(1/n) (Clopper and Pearson 1934)."""


@dataclass(frozen=True)
class Chosen:
    """Pictures; `split` says where they are from, `labelled` whether their classes mean anything."""

    pictures: Pictures
    split: str
    labelled: bool
    notes: tuple[str, ...] = ()


def pictures_for(
    folder: Path, about: Export, images: Images | None, classes: Array | None, data_dir: Path | None
) -> Chosen:
    """The pictures for an export; UsageError or UnusableFile where they don't fit its model."""
    chosen = _chosen(folder, about, images, classes, data_dir)
    n = len(chosen.pictures)
    if n >= FEW:
        return chosen
    bound = 100.0 * (1.0 - 0.05 ** (1 / n))
    note = f"{plural(n, 'picture')} can prove little: where all agree, up to {bound:.0f} % of others may not"
    return replace(chosen, notes=(*chosen.notes, note))


def _chosen(folder: Path, about: Export, images: Images | None, classes: Array | None, data_dir: Path | None) -> Chosen:
    if images is None and classes is not None:
        raise UsageError("labels belong to images: give both")
    if images is not None:
        return _given(_input_of(folder, about), about, images, classes)
    if about.data is not None:
        dataset = open_dataset(about.data, data_dir)
        pictures = dataset.load("test")
        return Chosen(pictures, "test", True, tuple(dataset.notes))
    kept = folder / "reference.npz"
    if not kept.is_file():
        raise UnusableFile(f"{kept}: is missing; export again")
    with np.load(kept) as stored:
        found = stored["images"]
    note = "these are pictures that int8 was decided on; --images FOLDER measures on others"
    return Chosen(pictures_of(found, found.shape[1:3], found.shape[3]), "calibration", False, (note,))


def _given(wanted: ImageInput, about: Export, images: Images, classes: Array | None) -> Chosen:
    size = (wanted.height, wanted.width)
    if isinstance(images, (str, Path)):
        if classes is not None:
            raise UsageError("a folder says its classes by its folders' names: labels are for images as an array")
        found = read_loose(Path(images), size, wanted.resize, about.labels, channels=wanted.channels)
        return Chosen(found.pictures, "given", found.labelled, found.notes)
    pictures = pictures_of(images, size, wanted.channels, classes)
    if classes is not None and not 0 <= pictures.classes.min() <= pictures.classes.max() < len(about.labels):
        raise UsageError(f"labels are places among the {len(about.labels)} classes, from 0")
    return Chosen(pictures, "given", classes is not None)


def _input_of(folder: Path, about: Export) -> ImageInput:
    return read_manifest(folder / about.artifacts[0]).input
