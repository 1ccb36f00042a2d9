"""Downloading a data set: the archive's checksum is verified before it is opened, and its folder appears whole."""

from __future__ import annotations

import logging
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from edgecnn.data.sources import Archive
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.storage import disk_errors, whole_folder

Progress = Callable[[int, int], None]  # bytes so far, bytes in all (0: unknown)

TIMEOUT_S = 30.0  # without a byte


def fetch(archive: Archive, target_dir: Path, progress: Progress | None = None) -> Path:
    """Download an archive and unpack it as `target_dir`/`archive.folder`, which is returned.

    Raises UnusableFile when it can't be downloaded or is not the archive that was expected, OutOfResources when the
    disk is full, UsageError when `target_dir` can't be written; in each case no part of it is left behind.
    """
    target = target_dir / archive.folder
    if target_dir.exists() and not target_dir.is_dir():
        raise UsageError(f"{target_dir} is a file, not a folder; choose another with --data DIR")
    with disk_errors(target_dir):
        target_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target_dir, prefix=".download.") as downloads:
            file = _download(archive, Path(downloads), target, progress)
            with whole_folder(target) as made:
                _unpack(file, archive, made)
    return target


def _download(archive: Archive, downloads: Path, target: Path, progress: Progress | None) -> Path:
    """The archive in `downloads`, its checksum verified."""
    import pooch  # type: ignore[import-untyped] # it has no annotations
    import requests

    pooch.get_logger().setLevel(logging.ERROR)  # what it would print is the caller's to say
    meter = _Meter(progress) if progress else None
    getter = pooch.HTTPDownloader(progressbar=meter, chunk_size=1 << 18, timeout=TIMEOUT_S)
    by_hand = f"or get it by other means and unpack it as {target}"
    try:
        return Path(pooch.retrieve(archive.url, archive.checksum, "archive", downloads, downloader=getter))
    except requests.RequestException as error:
        raise UnusableFile(
            f"{archive.url} can't be downloaded ({_reason(error)}); try again with a network, {by_hand}"
        ) from error
    except ValueError as error:  # how pooch says that the checksum is another
        raise UnusableFile(
            f"{archive.url} is not the file that was expected ({archive.checksum}), so it was not opened; try again, "
            f"{by_hand}"
        ) from error


def _reason(error: Exception) -> str:
    """The last cause of a failed request, in few words."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code}"
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return str(cause) or type(cause).__name__


def _unpack(file: Path, archive: Archive, made: Path) -> None:
    """Copy the regular files below the archive's folder into `made`; links and names that lead elsewhere are errors.

    (tarfile's `filter="data"` does as much, but Raspberry Pi OS bookworm's Python 3.11.2 doesn't have it.)
    """
    inside = PurePosixPath(archive.folder)
    with tarfile.open(file) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if member.isdir():
                continue
            if not member.isfile() or path.is_absolute() or ".." in path.parts or not path.is_relative_to(inside):
                raise UnusableFile(f"{archive.url} holds '{member.name}', which is no file in {archive.folder}")
            to = made / path.relative_to(inside)
            to.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            if content is not None:
                with content, to.open("wb") as copied:
                    shutil.copyfileobj(content, copied, 1 << 20)
    if not any(made.iterdir()):
        raise UnusableFile(f"{archive.url} holds no files in {archive.folder}")


class _Meter:
    """The progress bar that pooch draws on, handing the figures to a function."""

    def __init__(self, report: Progress) -> None:
        self.total: Any = 0
        self._done = 0
        self._report = report

    def update(self, count: int) -> None:
        self._done += count
        self._report(self._done, int(self.total or 0))

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """pooch's last word; every figure has been reported by then."""
