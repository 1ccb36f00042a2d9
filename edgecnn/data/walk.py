"""What lies in a folder of pictures: its class folders, the pictures below them, and what is none of either."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile, plural

LITTER = {"__MACOSX", "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders that archives, network drives and file systems make; some of them hold thumbnails of the pictures beside."""
OTHER_PICTURES = {".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".jp2", ".jxl", ".dng", ".cr2", ".nef", ".arw"}
"""Pictures that no runtime on a device decodes: to be converted."""


def class_names(folder: Path) -> tuple[str, ...]:
    """The folders in `folder`, sorted, but for hidden ones, litter and a folder of runs.

    UnusableFile for a name that no class can have.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not _passed(entry.path))
    except OSError as error:
        raise UnusableFile(f"{folder}: can't be read ({error.strerror}); it holds a folder for each class") from error
    for name in names:
        if name != name.strip() or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise UnusableFile(
                f"{folder}: its folder {name!a} is a class, whose name is a line of plain text without blanks at its "
                "ends; rename it"
            )
    return tuple(names)


def find_pictures(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The pictures at any depth below `folder`, sorted, and how many files of other types there are, by suffix.

    Links to folders are followed, each folder once. Hidden files, hidden folders, litter and a folder of runs are
    passed over, and what is no file. UnusableFile where a folder can't be read.
    """
    pictures, others = [], Counter[str]()
    entered = {os.path.realpath(folder)}

    def new(path: str) -> bool:
        """Whether it was not entered yet: a link may lead back up."""
        real = os.path.realpath(path)
        if real in entered:
            return False
        entered.add(real)
        return True

    for inside, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        places = [os.path.join(inside, name) for name in sorted(folders)]
        places = sorted((place for place in places if not _passed(place)), key=os.path.islink)
        folders[:] = [os.path.basename(place) for place in places if new(place)]
        for name in names:
            path = Path(inside, name)
            if name.startswith(".") or (os.path.exists(path) and not os.path.isfile(path)):
                continue  # a pipe would be waited for
            if path.suffix.lower() in SUFFIXES:
                pictures.append(path)
            else:
                others[path.suffix.lower()] += 1
    return sorted(pictures), others


def passed_over(folder: Path, others: Mapping[str, Counter[str]]) -> str:
    """A sentence about the files of other types below a folder, by class and suffix; empty where there are none.

    Where some of them are pictures all the same, it says of which classes.
    """
    found = sum(others.values(), Counter[str]())
    if not found:
        return ""
    said = f"{folder}: passed over {plural(found.total(), 'file')} of other types ({_kinds(found)})"
    pictures = {
        label: Counter({kind: n for kind, n in of.items() if kind in OTHER_PICTURES}) for label, of in others.items()
    }
    named = ", ".join(f"{label} has {_kinds(of)}" for label, of in pictures.items() if of)
    return f"{said}; of these are pictures: {named}: convert them to JPEG or PNG" if named else said


def holds_pictures(others: Counter[str]) -> bool:
    """Whether files of other types are pictures all the same."""
    return not OTHER_PICTURES.isdisjoint(others)


def _kinds(found: Counter[str]) -> str:
    return ", ".join(f"{count} {kind or 'without a suffix'}" for kind, count in sorted(found.items()))


def _passed(folder: str) -> bool:
    """Whether a folder is passed over; that of runs is what `edgecnn train` writes where it is called among classes."""
    name = os.path.basename(folder)
    runs = name == "runs" and any(Path(folder).glob("*/resolved.yaml"))
    return name.startswith(".") or name in LITTER or runs


def _refuse(error: OSError) -> None:
    raise UnusableFile(
        f"{error.filename}: can't be read ({error.strerror}); mend its permissions or move it"
    ) from error
