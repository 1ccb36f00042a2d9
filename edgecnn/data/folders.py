"""Class folders: train/<class>/*.jpg, and beside train perhaps val and test, laid out alike; files.py has the rules."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgecnn.data.files import Files, PictureFiles, find
from edgecnn.data.pictures import DataSpec
from edgecnn.data.walk import class_names, find_pictures, passed_over
from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile


class ClassFolders(PictureFiles):
    """The `Dataset` of a folder. Files of other types are passed over, and counted in the notes."""

    def __init__(self, spec: DataSpec, data_dir: Path | None, least: int = 2) -> None:
        """UnusableFile when there is no such folder, or it isn't laid out as folders of `least` classes or more."""
        root = find(spec.folder or "", "data.folder", data_dir)
        beside = set(os.listdir(root))
        super().__init__(spec, root, _labels(root, beside, least), beside, str(root.resolve()))

    def _missing(self, split: str) -> str:
        return f"{self.root} has no {split}/ folder: put pictures of each class into {split}/<class>/"

    def _no_test(self) -> str:
        return (
            f"{self.root} has val/ but no test/: val/, which chooses the checkpoint, is measured as the test split "
            "too, so that accuracies come out a little high; move it to test/ to have validation held out of train/"
        )

    def _list(self, part: str) -> Files:
        """The files of each class below the folder; classes that train/ doesn't have are an error."""
        folder = self.root / part
        found = class_names(folder)
        unknown = sorted(set(found) - set(self.labels))
        if unknown:
            raise UnusableFile(
                f"{folder} has classes that train/ has not ({', '.join(unknown)}); "
                "a class is learnt from train/, so add it there or remove it here"
            )
        files, others = read_classes({label: folder / label for label in found}, self.labels, f"{part}/")
        self._check(part, set(files.classes.tolist()), passed_over(folder, others))
        return files

    def _check(self, part: str, classes: Collection[int], others: str) -> None:
        """UnusableFile where train has none of a class, or another part none at all; notes of what else is missing."""
        folder, also = self.root / part, f"; {others}" if others else ""
        if not classes:
            raise UnusableFile(f"{folder} has no pictures ({', '.join(SUFFIXES)}){also}")
        empty = [label for number, label in enumerate(self.labels) if number not in classes]
        if empty and part == "train":
            raise UnusableFile(f"{folder} has no pictures of {', '.join(empty)} ({', '.join(SUFFIXES)}){also}")
        self._note_gaps(part, folder, classes, others)


def _labels(root: Path, beside: set[str], least: int) -> tuple[str, ...]:
    """The classes: the folders in train/, sorted."""
    if "train" not in beside:
        what = "is empty" if not beside else "has no train/ folder"
        raise UnusableFile(
            f"{root} {what}: pictures lie in train/<class>/, val/<class>/ and test/<class>/; "
            "where they lie in <class>/, `edgecnn new FOLDER` splits them"
        )
    labels = class_names(root / "train")
    if len(labels) < least:
        found = f"only '{labels[0]}'" if labels else "none"
        needed = "two classes" if least == 2 else "one class"
        raise UnusableFile(f"{root / 'train'} needs at least {needed}, a folder each; found {found}")
    return labels


def read_classes(
    folders: Mapping[str, Path], labels: Sequence[str], above: str = ""
) -> tuple[Files, dict[str, Counter[str]]]:
    """The pictures of each class's folder, none of them opened, and of each class the files of other types, by suffix.

    A picture's class is the place of its folder's key in `labels`; its name is `above`, the key, and its path in there.
    """
    paths: list[Path] = []
    names: list[str] = []
    classes: list[int] = []
    others: dict[str, Counter[str]] = {}
    for label, folder in folders.items():
        pictures, others[label] = find_pictures(folder)
        paths += pictures
        names += [f"{above}{label}/{path.relative_to(folder).as_posix()}" for path in pictures]
        classes += [labels.index(label)] * len(pictures)
    return Files(tuple(paths), tuple(names), np.array(classes, np.int64)), others
