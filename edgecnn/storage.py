"""Files and folders written whole or not at all, what a killed writer left behind, and the hashes of content.

A file is written to a temporary name in the same folder, synced, and renamed; a folder likewise (`whole_folder`). What
a killed writer left under such a name, `sweep` removes.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edgecnn.errors import OutOfResources, UsageError

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""The place is what's wrong: not the user's, read-only, or a file where a folder should be."""


UNFINISHED, ASIDE = ".tmp", ".old.tmp"
"""How the names of what is being written, and of what is being replaced, end: `.<name>.<eight letters>.tmp`."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Map what the file system refuses to one sentence: a full disk is exit 5, a forbidden place exit 2."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfResources(f"{path}: the disk is full; free some space and run it again") from error
        if error.errno in FORBIDDEN:
            raise UsageError(f"{path}: can't be written ({error.strerror}); choose another folder") from error
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    import tempfile

    with disk_errors(path):
        _make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path, previous: Path | None = None) -> Iterator[Path]:
    """A folder that appears under `path` when the block ends well, replacing what was there; else it leaves nothing.

    What was there becomes `previous`, where that is given (in the same folder as `path`, and replacing what is there
    in turn), or is removed. Under neither name is there ever a part of a folder, or none where one was: not even after
    a SIGKILL or a power cut, where the system can exchange two names in one step (Linux on its usual file systems).
    Elsewhere `path` is missing for an instant, and `sweep` puts it right.
    """
    import tempfile

    with disk_errors(path):
        _make_folder(path.parent)
        made = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED))
        try:
            os.chmod(made, 0o755)  # noqa: S103 - mkdtemp makes it private; a run folder is read by others too
            yield made
            _sync_all(made)
            _replace_folder(made, path, previous)
        except BaseException:
            _remove(made)
            raise
        sync_folder(path.parent)


def _replace_folder(made: Path, path: Path, previous: Path | None) -> None:
    """Put a folder in the place of another, which becomes `previous` or is removed."""
    if not os.path.lexists(path):
        os.replace(made, path)
        return
    _swap(made, path)  # from here on `made` is the old one
    sync_folder(path.parent)  # a power cut must not find the old one gone and the new one not there yet
    if previous is None:
        _remove(made)
    else:
        _replace_folder(made, previous, None)


def _swap(made: Path, path: Path) -> None:
    """Exchange what lies under two names; where the system can't, by renames, which an error or a signal undoes."""
    if _exchange(made, path):
        return
    import tempfile

    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=ASIDE))
    old = aside / path.name
    try:
        os.replace(path, old)
        os.replace(made, path)
        os.replace(old, made)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(path):
            os.rename(old, path)
        raise
    finally:
        _remove(aside)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2(2), Linux 3.15); False where the system can't do that."""
    try:
        import ctypes  # not at the top: Pythons are built without it for small devices

        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError):
        return False  # macOS, or a C library that doesn't have it
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):  # EPERM: some containers, for what's new
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def _remove(path: Path) -> None:
    """Remove a folder with all that is in it, or a file; what can't be removed is left for the next `sweep`."""
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove what writers of `folder`/<name> that were killed have left there: temporary files and folders.

    Only for who alone writes there: a writer that is still at work would lose its unfinished file. What was moved out
    of the way for a new folder that then didn't come is put back.
    """
    if not folder.is_dir():
        return
    with disk_errors(folder):
        for name in names:
            ours = re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}({re.escape(UNFINISHED)}|{re.escape(ASIDE)})")
            for left in [path for path in folder.iterdir() if ours.fullmatch(path.name)]:
                if os.path.lexists(left / name) and left.name.endswith(ASIDE) and not os.path.lexists(folder / name):
                    os.replace(left / name, folder / name)
                _remove(left)
        sync_folder(folder)


def need_space(folder: Path, size: int) -> None:
    """OutOfResources where the disk that `folder` is (or will be) on has no room for `size` bytes, 2 % and 1 MiB."""
    with disk_errors(folder):
        disk = os.statvfs(next(path for path in (folder, *folder.absolute().parents) if path.exists()))
    if disk.f_blocks == 0:
        return  # how a file system says that it doesn't know
    needed_mib, free_mib = size * 1.02 / 2**20 + 1, disk.f_bavail * disk.f_frsize / 2**20
    if free_mib < needed_mib:
        raise OutOfResources(
            f"{folder}: the disk has {free_mib:.1f} MiB free, but {needed_mib:.1f} MiB are needed; "
            "free some space and run it again"
        )


def _make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, so that they survive a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def _sync_all(folder: Path) -> None:
    """Make a folder survive a power cut, with all the files and folders in it."""
    for path in (*folder.rglob("*"), folder):
        if path.is_file():
            with path.open("rb") as opened:
                os.fsync(opened.fileno())
        elif path.is_dir():
            sync_folder(path)


def sync_folder(path: Path) -> None:
    """Make what was made, renamed or removed in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(content: bytes) -> str:
    """The hexadecimal SHA-256 of some bytes."""
    return str(_sha256(content).hexdigest())


def sha256_file(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    digest = _sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 16):
            digest.update(block)
    return str(digest.hexdigest())


def _sha256(content: bytes = b"") -> Any:
    """hashlib's where something has loaded it, else CPython's own: OpenSSL takes 4 MB of a device's memory."""
    for name in ("hashlib", "_sha2", "_sha256"):  # the last two: CPython 3.12 and up, and before
        if name != "hashlib" or name in sys.modules:
            with suppress(ImportError):
                return importlib.import_module(name).sha256(content)
    return importlib.import_module("hashlib").sha256(content)
