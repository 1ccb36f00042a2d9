"""Class folders that nobody has split: <class>/*.jpg at any depth, and perhaps a folder of pictures of no class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.data.files import Files
from edgecnn.data.folders import read_classes
from edgecnn.data.listed import BACKGROUND
from edgecnn.data.pictures import SPLITS
from edgecnn.data.walk import class_names, passed_over
from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile, UsageError, first_few, plural

OTHER_WORDS = ("training", "validation", "valid", "testing")
"""What others call their splits: no classes, though they lie where classes do."""


@dataclass(frozen=True)
class Unsplit:
    """All pictures of some classes, by class and name. others: a sentence about files of other types, or none."""

    labels: tuple[str, ...]
    files: Files
    others: str
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
    labels = tuple(sorted(classes))
    if labels and set(labels) <= set(SPLITS):
        raise UnusableFile(
            f"{root} holds {', '.join(labels)} and no train/: put what is to be learned from into "
            "train/<class>/, or all of it into <class>/ and let it be split"
        )
    files, of_other_types = read_classes({label: classes[label] for label in labels}, labels)
    elsewhere = {BACKGROUND: of_other_types.pop(BACKGROUND)} if background is not None else {}
    said = (passed_over(root, of_other_types), passed_over(background or root, elsewhere))
    others = "; ".join(filter(None, said))
    _check(root, files, labels, others)
    notes = [others] if others else []
    loose = sum(path.suffix.lower() in SUFFIXES for path in root.iterdir() if path.is_file())
    if loose:
        notes.append(f"{root}: passed over {plural(loose, 'picture')} in no class's folder")
    return Unsplit(labels, files, others, tuple(notes))


def read_background(background: Path, root: Path, labels: Collection[str]) -> Files:
    """The pictures of a background, beside a folder that is split and has these classes. Raises as `read_unsplit`."""
    _check_background(root, background, labels)
    return read_classes({BACKGROUND: background}, (BACKGROUND,))[0]


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


def _check(root: Path, files: Files, labels: Sequence[str], others: str) -> None:
    if not files.paths:
        raise UnusableFile(
            f"{root} holds no pictures in class folders; put those of each class into {root}/<class>/, as JPEG, PNG, "
            f"WebP or BMP{f' ({others})' if others else ''}"
        )
    if len(labels) < 2:
        inside = class_names(root / labels[0]) if (root / labels[0]).is_dir() else ()
        deeper = (
            f"; or, if {first_few(inside, 3)} are the classes: `edgecnn new {root / labels[0]}`"
            if len(inside) > 1
            else ""
        )
        raise UnusableFile(
            f"{root} has one class only, '{labels[0]}': put the pictures of each class into a folder of their "
            f"own, and those that show none into one called '{BACKGROUND}'{deeper}"
        )
