"""Class folders that nobody has split: <class>/*.jpg at any depth, and perhaps a folder of pictures of no class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.data.files import Files, passed_over
from edgecnn.data.folders import class_names, read_classes
from edgecnn.data.listed import BACKGROUND
from edgecnn.data.pictures import SPLITS
from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile, UsageError, plural

OTHER_WORDS = ("training", "validation", "valid", "testing")
"""What others call their splits: no classes, though they lie where classes do."""


@dataclass(frozen=True)
class Unsplit:
    """All pictures of some classes, by class and name; notes: what was passed over."""

    labels: tuple[str, ...]
    files: Files
    notes: tuple[str, ...]


def is_split(root: Path) -> bool:
    """Whether a folder is laid out as train/<class>/; `train` among other names is a class (bus, car, train).

    UnusableFile where its folders are splits that are called otherwise.
    """
    names = set(class_names(root))
    words = {name.lower() for name in names}
    if words and words <= {*SPLITS, *OTHER_WORDS} and not names <= set(SPLITS):
        raise UnusableFile(
            f"{root} holds {', '.join(sorted(names))}: splits are called train, val and test here; rename them"
        )
    return "train" in names and (names == {"train"} or bool(names & {"val", "test"}))


def read_unsplit(root: Path, background: Path | None = None) -> Unsplit:
    """The pictures of each folder in `root`, those of `background` as a class of that name; none is opened.

    Raises UnusableFile where there are no two classes, UsageError where the background is one of them already.
    """
    classes = {name: root / name for name in class_names(root)}
    if background is not None:
        _check_background(root, background, set(classes))
        classes[BACKGROUND] = background
    found = _read(classes)
    notes = [passed_over(root, found.others)] if found.others else []
    if found.labels and set(found.labels) <= set(SPLITS):
        raise UnusableFile(
            f"{root} holds {', '.join(found.labels)} and no train/: put what is to be learned from into "
            "train/<class>/, or all of it into <class>/ and let it be split"
        )
    _check(root, found, notes)
    loose = sum(path.suffix.lower() in SUFFIXES for path in root.iterdir() if path.is_file())
    if loose:
        notes.append(f"{root}: passed over {plural(loose, 'picture')} in no class's folder")
    return Unsplit(found.labels, found.files, tuple(notes))


def read_background(background: Path, root: Path, labels: Collection[str]) -> Files:
    """The pictures of a background, beside a folder that is split and has these classes. Raises as `read_unsplit`."""
    _check_background(root, background, labels)
    return _read({BACKGROUND: background}).files


@dataclass(frozen=True)
class _Found:
    """Pictures by class; others: files of other types, by suffix."""

    labels: tuple[str, ...]
    files: Files
    others: Counter[str]


def _read(classes: Mapping[str, Path]) -> _Found:
    """The pictures of the classes in these folders."""
    labels = tuple(sorted(classes))
    files, others = read_classes({label: classes[label] for label in labels}, labels)
    return _Found(labels, files, others)


def _check_background(root: Path, background: Path, classes: Collection[str]) -> None:
    if not background.is_dir():
        raise UnusableFile(f"{background}: there is no such folder of background pictures; correct --background")
    if background.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            f"{background} lies in {root}, where a folder is a class: name it '{BACKGROUND}' and leave out "
            "--background, or move it elsewhere"
        )
    if root.resolve().is_relative_to(background.resolve()):
        raise UsageError(f"{background} holds {root} itself: a background shows none of the classes; move it elsewhere")
    if BACKGROUND in classes:
        raise UsageError(f"{root} has a class '{BACKGROUND}' already: leave out --background, or rename that folder")


def _check(root: Path, found: _Found, notes: Sequence[str]) -> None:
    also = f" ({notes[0]})" if notes else ""
    if not found.files.paths:
        raise UnusableFile(
            f"{root} holds no pictures in class folders; put those of each class into {root}/<class>/, as JPEG, PNG, "
            f"WebP or BMP{also}"
        )
    if len(found.labels) < 2:
        raise UnusableFile(
            f"{root} has one class only, '{found.labels[0]}': put the pictures of each class into a folder of their "
            f"own, and those that show none into one called '{BACKGROUND}'"
        )
