"""Class folders: train/<class>/*.jpg, and beside train perhaps val and test, laid out alike.

    train, val, test   as they are
    train, test        val is held out of train
    train, val         val as it is; it is measured as the test split too, and a note says so
    train              val is held out of train; there is no test split

A split's files are listed when it is loaded. What train and val hold does not depend on whether there is a test/.
Validation pictures are drawn from the list, before anything is decoded: where broken pictures are left out, a picture
that breaks or is mended later moves no other between train and val.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.cache import Wanted, close_up, hold, state_of
from edgecnn.data.pictures import Broken, DataSpec, Pictures, check_split
from edgecnn.data.places import search_dirs
from edgecnn.data.splits import hold_out
from edgecnn.edge import pixels
from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile

SHOWN = 3  # broken pictures named in an error or a note


@dataclass(frozen=True)
class Files:
    """The files of a split, sorted by class and name; classes: int64 [N]."""

    paths: tuple[Path, ...]
    classes: NDArray[np.int64]

    def take(self, places: NDArray[np.int64]) -> Files:
        """The files at `places`, in that order."""
        return Files(tuple(self.paths[i] for i in places), self.classes[places])


class ClassFolders:
    """The `Dataset` of a folder. Files of other types are passed over, and counted in the notes."""

    def __init__(self, spec: DataSpec, data_dir: Path | None) -> None:
        """UnusableFile when there is no such folder, or it isn't laid out as class folders of two classes or more."""
        self._spec = spec
        self.root = _find(spec.folder or "", data_dir)
        beside = set(os.listdir(self.root))
        self.labels = _labels(self.root, beside)
        self._folders = _layout(beside)
        self._notes: dict[str, str] = {}
        if self._folders.get("test") == "val":
            self._notes["layout"] = (
                f"{self.root} has val/ but no test/: val/, which chooses the checkpoint, is measured as the test split "
                "too, so that accuracies come out a little high; move it to test/ to have validation held out of train/"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """The layout where it is not plain; of the splits loaded so far, what was passed over or left out, and the file
        that the pictures are read from where they are not in memory.
        """
        return tuple(self._notes.values())

    def has(self, split: str) -> bool:
        """Whether there is such a split; validation pictures can always be held out."""
        return split == "val" or split in self._folders

    def files(self, split: str) -> Files:
        """The files of a split, not opened; UnusableFile where it is missing or its classes are not train's."""
        check_split(split)
        if not self.has(split):
            raise UnusableFile(f"{self.root} has no {split}/ folder: put pictures of each class into {split}/<class>/")
        if split == "test" or (split == "val" and "val" in self._folders):
            return self._list(self._folders[split])
        files = self._list("train")
        if "val" in self._folders:
            return files
        train, val = hold_out(files.classes, self._spec.val_fraction, self.labels)
        return files.take(train if split == "train" else val)

    def load(self, split: str) -> Pictures:
        """One split, see `Dataset.load`; every broken picture is found before UnusableFile names the first few.

        Where the spec says to skip them, they are left out and a note names the first few; UnusableFile only where a
        class has no other picture.
        """
        files, spec = self.files(split), self._spec
        kind = "val" if self._folders.get(split) == "val" else split  # val/ that is test too is decoded once
        wanted = Wanted(
            f"{self.root.resolve()} {kind} {spec.val_fraction} {spec.height}x{spec.width} {spec.resize}",
            state_of(self.root, files.paths, spec.height, spec.width, spec.resize),
            len(files.paths),
            spec.height,
            spec.width,
        )
        held = hold(wanted, spec.cache, lambda images: self._decode(files, images))
        if held.file is not None:
            self._notes[f"{split} kept"] = held.note(split)
        if held.broken:
            files = self._leave_out(split, files, held.broken)
        return Pictures(held.images, files.classes, tuple(self._name(path) for path in files.paths))

    def _decode(self, files: Files, images: NDArray[np.uint8]) -> tuple[Broken, ...]:
        """Fill `images` with the files that can be decoded, in order; those that can't."""
        spec = self._spec

        def place(number: int, path: Path) -> None:
            images[number] = pixels.load(path, spec.height, spec.width, spec.resize)

        broken = self.read_each(files, place)
        close_up(images, self._places(files, broken))
        return broken

    def _places(self, files: Files, broken: Sequence[Broken]) -> list[int]:
        names = {picture.name for picture in broken}
        return [place for place, path in enumerate(files.paths) if self._name(path) in names]

    def _leave_out(self, split: str, files: Files, broken: Sequence[Broken]) -> Files:
        """The files that are whole, and a note; UnusableFile where the spec refuses to or a class has no other."""
        named = "; ".join(f"{picture.name}: {picture.reason}" for picture in broken[:SHOWN])
        more = f"; and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        found = f"{self.root}: {len(broken)} of {len(files.paths)} {split} pictures can't be used"
        advice = "`edgecnn data check` lists them all"
        if self._spec.broken == "refuse":
            raise UnusableFile(
                f"{found}: {named}{more}. Mend or remove them, or go without them with data.broken=skip; {advice}"
            )
        good = files.take(np.setdiff1d(np.arange(len(files.paths)), self._places(files, broken)))
        lost = sorted(set(files.classes.tolist()) - set(good.classes.tolist()))
        if lost:
            classes = ", ".join(self.labels[number] for number in lost)
            raise UnusableFile(f"{found}, and no other is left of {classes}: {named}{more}. Mend them; {advice}")
        self._notes[f"{split} broken"] = f"{found} and are left out (data.broken=skip): {named}{more}; {advice}"
        return good

    def read_each(self, files: Files, use: Callable[[int, Path], None]) -> tuple[Broken, ...]:
        """Call `use(number, path)` for each file, in threads; those for which it raises UnusableFile, in order."""

        def attempt(numbered: tuple[int, Path]) -> Broken | None:
            number, path = numbered
            try:
                use(number, path)
            except UnusableFile as error:
                return Broken(self._name(path), str(error).removeprefix(f"{path}: "))
            return None

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            return tuple(found for found in threads.map(attempt, enumerate(files.paths)) if found)

    def _list(self, folder: str) -> Files:
        """The files of each class below `folder`; classes that train/ doesn't have are an error."""
        found = _class_names(self.root / folder)
        unknown = sorted(set(found) - set(self.labels))
        if unknown:
            raise UnusableFile(
                f"{self.root / folder} has classes that train/ has not ({', '.join(unknown)}); "
                "a class is learnt from train/, so add it there or remove it here"
            )
        paths: list[Path] = []
        classes: list[int] = []
        others: Counter[str] = Counter()
        for label in found:
            pictures, passed_over = find_pictures(self.root / folder / label)
            paths += pictures
            classes += [self.labels.index(label)] * len(pictures)
            others += passed_over
        self._check(folder, classes)
        if others:
            kinds = ", ".join(f"{count} {kind or 'without a suffix'}" for kind, count in sorted(others.items()))
            self._notes[folder] = f"{self.root / folder}: passed over {others.total()} files of other types ({kinds})"
        return Files(tuple(paths), np.array(classes, np.int64))

    def _check(self, folder: str, classes: Sequence[int]) -> None:
        if not classes:
            raise UnusableFile(f"{self.root / folder} has no pictures ({', '.join(SUFFIXES)})")
        empty = [label for number, label in enumerate(self.labels) if number not in set(classes)]
        if empty and folder == "train":
            raise UnusableFile(f"{self.root / folder} has no pictures of {', '.join(empty)} ({', '.join(SUFFIXES)})")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _find(folder: str, data_dir: Path | None) -> Path:
    """The folder as it is given, or below one of the folders where data sets lie."""
    given = Path(folder).expanduser()
    places = [given] if given.is_absolute() else [given, *(base / given for base in search_dirs(data_dir))]
    for place in places:
        if place.is_dir():
            return place
    raise UnusableFile(f"there is no folder {folder} (looked for {', '.join(map(str, places))}); correct data.folder")


def _layout(beside: set[str]) -> dict[str, str]:
    """The folder of each split, by the names beside train; no entry for val where it is held out of train."""
    layout = {"train": "train"}
    if "test" in beside:
        layout["test"] = "test"
    if "val" in beside:
        layout["val"] = "val"
        layout.setdefault("test", "val")
    return layout


def _labels(root: Path, beside: set[str]) -> tuple[str, ...]:
    """The classes: the folders in train/, sorted."""
    if "train" not in beside:
        what = "is empty" if not beside else "has no train/ folder"
        raise UnusableFile(f"{root} {what}: pictures lie in train/<class>/, val/<class>/ and test/<class>/")
    labels = _class_names(root / "train")
    if len(labels) < 2:
        found = f"only '{labels[0]}'" if labels else "none"
        raise UnusableFile(f"{root / 'train'} needs at least two classes, a folder each; found {found}")
    return labels


def _class_names(folder: Path) -> tuple[str, ...]:
    """The folders in `folder`, sorted; hidden ones are left out."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")))
    except OSError as error:
        raise UnusableFile(f"{folder}: can't be read ({error.strerror}); it holds a folder for each class") from error


def find_pictures(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The pictures at any depth below `folder`, sorted, and how many files of other types there are, by suffix."""
    pictures, others = [], Counter[str]()
    for inside, _, names in os.walk(folder):
        for name in names:
            path = Path(inside, name)
            if path.suffix.lower() in SUFFIXES:
                pictures.append(path)
            elif not name.startswith("."):
                others[path.suffix.lower()] += 1
    return sorted(pictures), others
