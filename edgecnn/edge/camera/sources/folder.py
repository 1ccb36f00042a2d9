"""A folder of picture files, one after the other, or a single one: read whole, decoded as `predict` decodes them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import TracebackType

import numpy as np

from edgecnn.edge.camera.addresses import is_path
from edgecnn.edge.camera.clock import Pace
from edgecnn.edge.camera.frames import Captured
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.headers import SUFFIXES, SUPPORTED
from edgecnn.errors import UnusableFile


class FolderSource:
    """Picture files that were found; which of them can be decoded, decoding tells."""

    live = False

    def __init__(self, name: str, paths: tuple[str, ...], wanted: Wanted) -> None:
        self._paths, self._wanted, self._pace = paths, wanted, Pace()
        pace = "as fast as it goes" if wanted.fast else f"{wanted.pictures_per_s:g} a second"
        self.description = f"{name}: {len(paths):,} picture{'s'[: len(paths) > 1]}, {pace}"

    def __iter__(self) -> Iterator[Captured]:
        count = 0
        while True:
            for path in self._paths:
                if not self._wanted.fast:
                    self._pace.wait(count / self._wanted.pictures_per_s)
                yield _captured(path)
                count += 1
            if not self._wanted.loop:
                return

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open between two pictures."""


def _captured(path: str) -> Captured:
    """A file's bytes; one that can't be read says so when it is decoded, as a broken one does."""
    try:
        with open(path, "rb") as file:
            content, problem = file.read(), None
    except OSError as error:
        content, problem = b"", f"{path}: can't be read ({error.strerror})"
    return Captured(np.frombuffer(content, np.uint8), "file", time.monotonic_ns(), path, problem)


class Folder:
    """Hidden files and folders are passed over, and so are files of other types."""

    name = "folder"
    usage = "FOLDER"

    def claims(self, text: str) -> bool:
        """A folder, a picture file, or a path without a suffix that does not exist."""
        if not is_path(text):
            return False
        suffix = os.path.splitext(text)[1].lower()
        missing = not os.path.exists(text) and (text.endswith("/") or ("/" in text and not suffix))
        return os.path.isdir(text) or suffix in SUFFIXES or missing

    def open(self, text: str, wanted: Wanted) -> FolderSource:
        """UnusableFile where there is no such folder, or no picture in it."""
        if not os.path.exists(text):
            raise UnusableFile(f"{text}: there is no such file or folder")
        paths = tuple(_pictures(text)) if os.path.isdir(text) else (text,)
        if not paths:
            raise UnusableFile(f"{text}: has no pictures; {SUPPORTED} files are looked for, in its folders too")
        return FolderSource(text, paths, wanted)


def _pictures(folder: str) -> Iterator[str]:
    """Paths of picture files, the folder's own first, then those of its folders, each sorted by name."""
    for where, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(where, name)
            if not name.startswith(".") and name.lower().endswith(SUFFIXES) and os.path.isfile(path):
                yield path


def _refuse(error: OSError) -> None:
    raise UnusableFile(f"{error.filename}: can't be read ({error.strerror})") from error


SOURCE = Folder()
