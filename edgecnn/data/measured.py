"""Class folders that are measured and never learned from: <class>/*, or val/<class>/* and test/<class>/*, no train/."""

from __future__ import annotations

from pathlib import Path

from edgecnn.data.files import Files, PictureFiles
from edgecnn.data.folders import read_classes
from edgecnn.data.pictures import SPLITS, DataSpec
from edgecnn.data.walk import class_names, passed_over
from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile


class MeasuredFolders(PictureFiles):
    """The `Dataset` of a folder without train/. Where nobody split it, all of it is the test split.

    Its labels are the names of its class folders, sorted; one is enough.
    """

    def __init__(self, spec: DataSpec, root: Path) -> None:
        """UnusableFile where there is no folder in it."""
        names = class_names(root)
        self.split = bool(names) and set(names) <= set(SPLITS)
        """Whether somebody did."""
        self._folders = {name: root / name for name in names} if self.split else {"test": root}
        labels = sorted({label for folder in self._folders.values() for label in class_names(folder)})
        if not labels:
            raise UnusableFile(_nothing(root))
        super().__init__(spec, root, tuple(labels), self._folders, f"{root.resolve()} measured")

    def has(self, split: str) -> bool:
        """Whether there is such a split; nothing is held out here."""
        return self._parts.get(split) in self._folders

    def _missing(self, split: str) -> str:
        if not self.split:
            return f"{self.root} is not split, all of it is measured: leave out --split {split}"
        return f"{self.root} has no {split}/ folder, only {', '.join(sorted(self._folders))}: ask for that split"

    def _no_test(self) -> str:
        return f"{self.root} has val/ but no test/: val/ is measured"

    def _list(self, part: str) -> Files:
        folder = self._folders[part]
        above = f"{part}/" if self.split else ""
        files, others = read_classes({name: folder / name for name in class_names(folder)}, self.labels, above)
        said = passed_over(folder, others)
        if not len(files):
            raise UnusableFile(_nothing(folder) + (f"; {said}" if said else ""))
        self._note_gaps(part, folder, set(files.classes.tolist()), said)
        return files


def _nothing(folder: Path) -> str:
    kinds = ", ".join(SUFFIXES)
    return f"{folder} holds no pictures in class folders; put those of each class into {folder}/<class>/ ({kinds})"
