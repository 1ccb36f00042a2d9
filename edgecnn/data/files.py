"""Picture files in splits, however they are told apart: what class folders and a list of pictures have in common.

    train, val, test   as they are
    train, test        val is held out of train
    train, val         val as it is; it is measured as the test split too, and a note says so
    train              val is held out of train; there is no test split

A split's files are listed when it is loaded. What train and val hold does not depend on whether there is a test split.
Validation pictures are drawn from the list, before anything is decoded: where broken pictures are left out, a picture
that breaks or is mended later moves no other between train and val.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
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
from edgecnn.errors import UnusableFile

SHOWN = 3  # broken pictures named in an error or a note

Progress = Callable[[int, int], None]
"""Hears how many files are done, and how many there are."""


@dataclass(frozen=True)
class Files:
    """Picture files, sorted by class and name. names: what each is called in records; classes: int64 [N]."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, places: NDArray[np.int64]) -> Files:
        """The files at `places`, in that order."""
        return Files(tuple(self.paths[i] for i in places), tuple(self.names[i] for i in places), self.classes[places])

    def read_each(
        self, use: Callable[[int, Path], None], progress: Progress = lambda done, total: None
    ) -> tuple[Broken, ...]:
        """Call `use(number, path)` for each file, in threads; those for which it raises UnusableFile, in order."""

        def attempt(number: int) -> Broken | None:
            path = self.paths[number]
            try:
                use(number, path)
            except UnusableFile as error:
                return Broken(self.names[number], str(error).removeprefix(f"{path}: "))
            return None

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            broken = []
            for done, found in enumerate(threads.map(attempt, range(len(self))), start=1):
                progress(done, len(self))
                broken += [found] if found else []
        return tuple(broken)

    def places(self, broken: Sequence[Broken]) -> list[int]:
        """Where those stand."""
        names = {picture.name for picture in broken}
        return [place for place, name in enumerate(self.names) if name in names]

    def without(self, broken: Sequence[Broken]) -> Files:
        """All but those."""
        return self.take(np.setdiff1d(np.arange(len(self)), self.places(broken)))


class PictureFiles(ABC):
    """The `Dataset` of picture files. `root` is the folder that they lie in, `labels` are the classes' names."""

    def __init__(self, spec: DataSpec, root: Path, labels: tuple[str, ...], parts: Collection[str], where: str) -> None:
        """`parts` are the splits that there are, `where` is what tells them apart and names the data set in a cache."""
        self.spec, self.root, self.labels = spec, root, labels
        self._where = where
        self._parts = _layout(parts)
        self._notes: dict[str, str] = {}
        if self._parts.get("test") == "val":
            self._notes["layout"] = self._no_test()

    @abstractmethod
    def _list(self, part: str) -> Files:
        """The files of "train", "val" or "test", not opened; UnusableFile where there are none or of no known class."""

    @abstractmethod
    def _missing(self, split: str) -> str:
        """A sentence saying that there is no such split, and where to put its pictures."""

    @abstractmethod
    def _no_test(self) -> str:
        """A sentence saying that val is measured as the test split too."""

    def _note_gaps(self, part: str, folder: Path, classes: Collection[int], others: str) -> None:
        """Note the classes that a part has no pictures of, and what is said of files of other types."""
        empty = [label for number, label in enumerate(self.labels) if number not in classes]
        if empty:
            self._notes[f"{part} empty"] = (
                f"{folder} has no pictures of {', '.join(empty)}: they are not measured there"
            )
        if others:
            self._notes[part] = others

    @property
    def notes(self) -> tuple[str, ...]:
        """The layout where it is not plain; of the splits loaded so far, what was passed over or left out, and the file
        that the pictures are read from where they are not in memory.
        """
        return tuple(self._notes.values())

    def has(self, split: str) -> bool:
        """Whether there is such a split; validation pictures can always be held out."""
        return split == "val" or split in self._parts

    def files(self, split: str) -> Files:
        """The files of a split, not opened; UnusableFile where it is missing or its classes are not train's."""
        check_split(split)
        if not self.has(split):
            raise UnusableFile(self._missing(split))
        if split == "test" or (split == "val" and "val" in self._parts):
            return self._list(self._parts[split])
        files = self._list("train")
        if "val" in self._parts:
            return files
        train, val = hold_out(files.classes, self.spec.val_fraction, self.labels)
        return files.take(train if split == "train" else val)

    def load(self, split: str) -> Pictures:
        """One split, see `Dataset.load`; every broken picture is found before UnusableFile names the first few.

        Where the spec says to skip them, they are left out and a note names the first few; UnusableFile only where a
        class has no other picture.
        """
        files, spec = self.files(split), self.spec
        kind = "val" if self._parts.get(split) == "val" else split  # val that is test too is decoded once
        wanted = Wanted(
            f"{self._where} {kind} {spec.val_fraction} {spec.form}",
            state_of(files.names, files.paths, spec.form),
            len(files),
            spec.height,
            spec.width,
            spec.channels,
        )
        held = hold(wanted, spec.cache, lambda images: self._decode(files, images))
        if held.file is not None:
            self._notes[f"{split} kept"] = held.note(split)
        if held.broken:
            files = self._leave_out(split, files, held.broken)
        return Pictures(held.images, files.classes, files.names)

    def _decode(self, files: Files, images: NDArray[np.uint8]) -> tuple[Broken, ...]:
        """Fill `images` with the files that can be decoded, in order; those that can't."""
        spec = self.spec

        def place(number: int, path: Path) -> None:
            images[number] = pixels.load(path, spec.height, spec.width, spec.resize, spec.channels)

        broken = files.read_each(place)
        close_up(images, files.places(broken))
        return broken

    def _leave_out(self, split: str, files: Files, broken: Sequence[Broken]) -> Files:
        """The files that are whole, and a note; UnusableFile where the spec refuses to or a class has no other."""
        named = "; ".join(f"{picture.name}: {picture.reason}" for picture in broken[:SHOWN])
        more = f"; and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        found = f"{self.root}: {len(broken)} of {len(files)} {split} pictures can't be used"
        advice = "`edgecnn data check RECIPE` (or the folder) lists them all"
        if self.spec.broken == "refuse":
            raise UnusableFile(
                f"{found}: {named}{more}. Mend or remove them, or train without them (data.broken=skip); {advice}"
            )
        good = files.without(broken)
        lost = sorted(set(files.classes.tolist()) - set(good.classes.tolist()))
        if lost:
            classes = ", ".join(self.labels[number] for number in lost)
            raise UnusableFile(f"{found}, and no other is left of {classes}: {named}{more}. Mend them; {advice}")
        self._notes[f"{split} broken"] = f"{found} and are left out: {named}{more}; {advice}"
        return good


def find(given: str, key: str, data_dir: Path | None, what: str = "folder") -> Path:
    """What a recipe's `key` names, a folder or a file: as it is given, or below a folder where data sets lie."""
    path = Path(os.path.expanduser(given))
    places = [path] if path.is_absolute() else [path, *(base / path for base in search_dirs(data_dir))]
    for place in places:
        if os.path.isdir(place) if what == "folder" else os.path.isfile(place):
            return place
    raise UnusableFile(f"there is no {what} {given} (looked for {', '.join(map(str, places))}); correct {key}")


def _layout(parts: Collection[str]) -> dict[str, str]:
    """The part that each split is; no entry for val where it is held out of train."""
    layout = {"train": "train"}
    if "test" in parts:
        layout["test"] = "test"
    if "val" in parts:
        layout["val"] = "val"
        layout.setdefault("test", "val")
    return layout
