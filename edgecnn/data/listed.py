"""Pictures of a folder that a list puts into splits: nothing is moved or copied, and a spreadsheet can edit the list.

A list is a CSV file with the columns path (relative to the folder), label and split; others are passed over, such as
`group`, which says what was kept on one side. `edgecnn new` writes it. Pictures of "none of the classes" may lie in
another folder: theirs is the label `background`, and their paths are relative to that folder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.data.files import Files, PictureFiles, find
from edgecnn.data.pictures import SPLITS, DataSpec
from edgecnn.data.walk import class_names, find_pictures
from edgecnn.errors import UnusableFile, nearest, plural
from edgecnn.storage import write_whole

BACKGROUND = "background"
"""The class of pictures that show none of the others."""
COLUMNS = ("path", "label", "split")
GROUP = "group"
DELIMITERS = ",;\t"
"""What spreadsheets put between columns, by the language that they speak."""


@dataclass(frozen=True)
class Row:
    """A picture of a list; those that were kept on one side have the same `group`, one that stands alone has none."""

    path: str
    label: str
    split: str
    group: str = ""


class ListedPictures(PictureFiles):
    """The `Dataset` of a list. Pictures of the folder that it doesn't name are passed over, and counted in a note."""

    def __init__(self, spec: DataSpec, data_dir: Path | None) -> None:
        """UnusableFile when the list or a folder isn't there, or the list has faults or fewer than two classes."""
        root = find(spec.folder or "", "data.folder", data_dir)
        self._splits = find(spec.splits or "", "data.splits", data_dir, "file")
        self._rows = read_rows(self._splits)
        self._roots = {}
        if spec.background is not None:
            self._roots[BACKGROUND] = find(spec.background, "data.background", data_dir)
        labels = tuple(sorted({row.label for row in self._rows if row.split == "train"}))
        if len(labels) < 2:
            found = f"only '{labels[0]}'" if labels else "none"
            raise UnusableFile(f"{self._splits}: train needs at least two classes; found {found}")
        where = f"{root.resolve()} {self._splits.resolve()} {self._roots.get(BACKGROUND, '')}"
        super().__init__(spec, root, labels, {row.split for row in self._rows}, where)

    def _missing(self, split: str) -> str:
        return f"{self._splits} lists no {split} pictures: write {split} into their column 'split'"

    def _no_test(self) -> str:
        return (
            f"{self._splits} lists val but no test pictures: val, which chooses the checkpoint, is measured as the "
            "test split too, so that accuracies come out a little high"
        )

    def _list(self, part: str) -> Files:
        rows = [row for row in self._rows if row.split == part]
        unknown = sorted({row.label for row in rows} - set(self.labels))
        if unknown:
            raise UnusableFile(
                f"{self._splits}: {part} has classes that train has not ({', '.join(unknown)}); "
                "a class is learnt from train, so give it some there"
            )
        if part == "train":
            self._note_unlisted()
        paths = tuple(self._roots.get(row.label, self.root) / row.path for row in rows)
        names = tuple(f"{row.label}/{row.path}" if row.label in self._roots else row.path for row in rows)
        return Files(paths, names, np.array([self.labels.index(row.label) for row in rows], np.int64))

    def _note_unlisted(self) -> None:
        """Count what lies in the folders and not in the list; nothing is opened."""
        listed = {self._roots.get(row.label, self.root) / row.path for row in self._rows}
        classes = [self.root / name for name in class_names(self.root)]
        found = {path for folder in (*classes, *self._roots.values()) for path in find_pictures(folder)[0]}
        unlisted = len(found - listed)
        if unlisted:
            self._notes["unlisted"] = (
                f"{self.root}: passed over {plural(unlisted, 'picture')} that {self._splits} doesn't list; "
                "where some are new, `edgecnn new` with --force lists all but the broken ones"
            )


def list_bytes(spec: DataSpec, data_dir: Path | None = None) -> bytes | None:
    """The list that `spec` names, as it lies there; None where it names none. Raises UnusableFile."""
    if spec.splits is None:
        return None
    return find(spec.splits, "data.splits", data_dir, "file").read_bytes()


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a list, whole, sorted by label and path. Raises UsageError, OutOfResources."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, GROUP))
    writer.writerows((row.path, row.label, row.split, row.group) for row in sorted(rows, key=_order))
    write_whole(path, text.getvalue().encode(errors="surrogateescape"))


def read_rows(path: Path) -> tuple[Row, ...]:
    """A list, sorted by label and path, whatever order a spreadsheet left it in; `path:line` is said where it is wrong.

    Raises UnusableFile.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")  # Excel puts a byte order mark first
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="more", restval="")
    rows: dict[tuple[str, bool], Row] = {}
    try:
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise UnusableFile(f"{path}:1: has no column {', '.join(missing)}; `edgecnn new FOLDER` writes such a list")
        for values in reader:
            row = Row(values["path"], values["label"].strip(), values["split"].strip(), values.get(GROUP) or "")
            if row == Row("", "", ""):
                continue  # spreadsheets leave empty lines
            _check(row, f"{path}:{reader.line_num}")
            if rows.setdefault((row.path, row.label == BACKGROUND), row) is not row:
                raise UnusableFile(f"{path}:{reader.line_num}: {row.path} is listed twice; leave one of the lines")
    except csv.Error as error:
        raise UnusableFile(f"{path}:{reader.line_num}: is no CSV ({error})") from error
    return tuple(sorted(rows.values(), key=_order))


def _check(row: Row, where: str) -> None:
    if not row.path or not row.label:
        raise UnusableFile(f"{where}: a picture has a path and a label; got '{row.path}' and '{row.label}'")
    if row.split not in SPLITS:
        raise UnusableFile(f"{where}: there is no split '{row.split}'{nearest(row.split, SPLITS)}")


def _order(row: Row) -> tuple[str, str]:
    return row.label, row.path
