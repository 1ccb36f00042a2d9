"""`edgecnn data`: which data sets there are, getting one, and looking through pictures before they are trained on.

`check` is the one verb beside eval and verify that opens the test split: to find what is wrong with it. It chooses
nothing by what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.data import SPLITS, DataSpec, Pictures, cache, open_measured
from edgecnn.data.duplicates import SIDE, NearDuplicate, near_duplicates, thumbnail
from edgecnn.data.fetch import Progress, fetch
from edgecnn.data.files import Files, PictureFiles
from edgecnn.data.measured import MeasuredFolders
from edgecnn.data.pictures import Broken, blank
from edgecnn.data.places import download_dir
from edgecnn.data.registered import locate
from edgecnn.data.sources import Source, find_source, sources
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.packaged import find_recipe
from edgecnn.recipe import load_recipe
from edgecnn.verbs.pictures import data_spec
from edgecnn.verbs.recipes import located

ALL = "all"
"""The split that the pictures of a folder are which nobody split."""


@dataclass(frozen=True)
class SourceRow:
    """A registered data set. `folder` is where it lies, None where it has to be got first."""

    name: str
    summary: str
    folder: str | None


@dataclass(frozen=True)
class DataList:
    """Every registered data set, by name."""

    sources: tuple[SourceRow, ...]
    schema: str = "edgecnn.data/1"


@dataclass(frozen=True)
class DataGet:
    """Where a data set lies now; `downloaded` is false when it was there already, and whole."""

    source: str
    folder: str
    downloaded: bool
    schema: str = "edgecnn.data/1"


@dataclass(frozen=True)
class SplitCount:
    """How many pictures a split has, in all and of each class, broken ones included."""

    split: str
    n: int
    per_class: dict[str, int]


@dataclass(frozen=True)
class DataCheck:
    """What is in a data set, every picture of it that can't be used, and what is in two of its splits."""

    data: str
    labels: tuple[str, ...]
    splits: tuple[SplitCount, ...]
    broken: tuple[Broken, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    notes: tuple[str, ...]
    schema: str = "edgecnn.data/1"


def list_sources(data_dir: Path | None = None) -> DataList:
    """The registered data sets and where they lie."""
    rows = []
    for name, source in sorted(sources().items()):
        folder = source.locate(data_dir)
        rows.append(SourceRow(name, source.summary, str(folder) if folder else None))
    return DataList(tuple(rows))


def get(name: str, data_dir: Path | None = None, progress: Progress | None = None) -> DataGet:
    """Download a data set, unless it is there already, whole; `progress(bytes so far, bytes in all)` hears of it.

    Raises UsageError for a name that is not registered; else what `fetch` raises.
    """
    source = find_source(name)
    folder = source.locate(data_dir)
    if folder is not None and (source.archive is None or _whole(source, folder)):
        return DataGet(name, str(folder), downloaded=False)
    if source.archive is None:
        return DataGet(name, str(locate(source, data_dir)), downloaded=False)
    return DataGet(name, str(fetch(source.archive, download_dir(data_dir), progress)), downloaded=True)


def _whole(source: Source, folder: Path) -> bool:
    try:
        source.read(folder, "train")
        source.read(folder, "test")
    except UnusableFile:
        return False
    return True


def check(spec: DataSpec, data_dir: Path | None = None) -> DataCheck:
    """Count the pictures of each split and class, read every one, and look for near-duplicates between the splits.

    Broken pictures are in the record; UnusableFile is for what makes the whole unusable: no folder, no class.
    Validation pictures are those that training with the spec's `val_fraction` holds out. Where nobody split a folder,
    all of its pictures are one split, "all".
    """
    dataset = open_measured(spec, data_dir, named="the folder's name", least=2)
    if isinstance(dataset, PictureFiles):
        return _check_files(dataset)
    counts, thumbnails = [], {}
    for split in SPLITS:
        pictures = dataset.load(split)
        counts.append(_count(split, pictures.classes.tolist(), dataset.labels))
        small = np.stack([thumbnail(image) for image in pictures.images])
        thumbnails[split] = Pictures(small, pictures.classes, pictures.names)
    doubled = near_duplicates(thumbnails, dataset.labels)
    return DataCheck(str(spec.source), dataset.labels, tuple(counts), (), doubled, _notes(dataset.notes))


def _check_files(dataset: PictureFiles) -> DataCheck:
    counts: list[SplitCount] = []
    broken: list[Broken] = []
    thumbnails: dict[str, Pictures] = {}
    files = {split: dataset.files(split) for split in SPLITS if dataset.has(split)}
    notes: tuple[str, ...] = ()
    if isinstance(dataset, MeasuredFolders) and not dataset.split:
        files = {ALL: files["test"]}
    if len(dataset.labels) == 1:
        notes = (f"{dataset.root} has one class only, '{dataset.labels[0]}': training needs two",)
    for split, found in files.items():
        counts.append(_count(split, found.classes.tolist(), dataset.labels))
        if split == "test" and "val" in files and found.paths == files["val"].paths:
            continue  # val/ that is measured as the test split: every picture would be its own duplicate
        thumbnails[split], unusable = _read(found)
        broken += unusable
    doubled = near_duplicates(thumbnails, dataset.labels)
    notes = _notes((*dataset.notes, *notes))
    return DataCheck(str(dataset.root), dataset.labels, tuple(counts), tuple(broken), doubled, notes)


def _read(files: Files) -> tuple[Pictures, tuple[Broken, ...]]:
    """Thumbnails of the pictures that can be read, and those that can't be."""
    small = blank(len(files), SIDE, SIDE)

    def place(number: int, path: Path) -> None:
        small[number] = thumbnail(pixels.read(path))

    broken = files.read_each(place)
    good = np.setdiff1d(np.arange(len(files)), files.places(broken))
    return Pictures(small, files.classes, files.names).take(good), broken


def _notes(notes: tuple[str, ...]) -> tuple[str, ...]:
    """The data set's own, and where decoded pictures are kept, where there are any."""
    kept = cache.kept()
    return (*notes, kept) if kept else notes


def _count(split: str, classes: list[int], labels: tuple[str, ...]) -> SplitCount:
    per_class = {label: classes.count(number) for number, label in enumerate(labels)}
    return SplitCount(split, len(classes), per_class)


def spec_of(source: str) -> DataSpec:
    """What `data check` looks at: a recipe's pictures, a registered source, or else a folder of class folders.

    UsageError for an empty name.
    """
    if not source:
        raise UsageError("an empty name is no folder; for the working folder write .")
    if source.endswith((".yaml", ".yml")):
        path, _ = find_recipe(Path(source))
        return data_spec(located(load_recipe(path), path.parent))
    known = source in sources()
    return DataSpec(source if known else None, None if known else source, 0.1, 32, 32, "crop")
