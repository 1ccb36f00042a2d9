"""`edgecnn data`: which data sets there are, getting one, and looking through pictures before they are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecnn.data import SPLITS, DataSpec, open_dataset
from edgecnn.data.fetch import Progress, fetch
from edgecnn.data.folders import Broken, ClassFolders
from edgecnn.data.places import download_dir
from edgecnn.data.registered import locate
from edgecnn.data.sources import Source, find_source, sources
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile


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
    """What is in a data set, and every picture of it that can't be used."""

    data: str
    labels: tuple[str, ...]
    splits: tuple[SplitCount, ...]
    broken: tuple[Broken, ...]
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
    """Count the pictures of each split and class, and read every one of them.

    Broken pictures are in the record; UnusableFile is for what makes the whole unusable: no folder, one class only.
    """
    if spec.folder is not None:
        return _check_folders(ClassFolders(spec, data_dir))
    dataset = open_dataset(spec, data_dir)
    counts = tuple(_count(split, dataset.load(split).classes.tolist(), dataset.labels) for split in SPLITS)
    return DataCheck(str(spec.source), dataset.labels, counts, (), dataset.notes)


def _check_folders(dataset: ClassFolders) -> DataCheck:
    counts: list[SplitCount] = []
    broken: list[Broken] = []
    for split in filter(dataset.has, SPLITS):
        files = dataset.files(split)
        counts.append(_count(split, files.classes.tolist(), dataset.labels))
        broken += dataset.read_each(files, lambda _, path: _try(path))
    return DataCheck(str(dataset.root), dataset.labels, tuple(counts), tuple(broken), dataset.notes)


def _try(path: Path) -> None:
    pixels.read(path)


def _count(split: str, classes: list[int], labels: tuple[str, ...]) -> SplitCount:
    per_class = {label: classes.count(number) for number, label in enumerate(labels)}
    return SplitCount(split, len(classes), per_class)


def spec_of(source: str) -> DataSpec:
    """What `data check` looks at: a registered source, or else a folder of class folders."""
    known = source in sources()
    return DataSpec(source if known else None, None if known else source, 0.1, 32, 32, "crop")
