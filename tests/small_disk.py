"""A small real disk that fills up right before a given write: what a full disk leaves behind, tried write by write.

    with small_disk(tmp_path / "disk", mib=8) as disk:
        with full_before(3, disk): ...                                        in this process
        edgecnn_on_full_disk(3, disk, "train", "small.yaml", cwd=disk)        the command line in a child process
        free(disk)

Counted are the writes of Python's files: while a disk is to fill up, `open` is the one of `_pyio`, whose files call
`os.write` for whatever reaches the disk.
"""

from __future__ import annotations

import _pyio  # type: ignore[import-not-found] # Python's own io, written in Python; it has no stubs
import builtins
import errno
import io
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[1]
BALLAST = "ballast"


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A tmpfs of so many MiB, mounted at `folder`; the test is skipped, with the reason, where none can be mounted."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "edgecnn-test", folder], capture_output=True, text=True
    )
    if done.returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        return
    with _disk_of_another(folder, mib, done.stderr.strip()) as disk:
        yield disk


@contextmanager
def _disk_of_another(folder: Path, mib: int, reason: str) -> Iterator[Path]:
    """For users who may not mount: a process in namespaces of its own may, and shows its disk through /proc."""
    script = 'mount -t tmpfs -o "size=$1m" edgecnn-test "$0" && echo mounted && read -r line'
    try:
        holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, folder, str(mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip(f"needs a small disk, but mount says '{reason}' and there is no unshare")
    with holder:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"needs a small disk, but mount says '{reason}' and unshare '{holder.stderr.read().strip()}'")
        yield Path(f"/proc/{holder.pid}/root{folder}")
        holder.communicate("done\n")


def fill(disk: Path, leave: int = 0) -> None:
    """Pour ballast until not one page is free, or `leave` bytes."""
    descriptor = os.open(disk / BALLAST, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while (free := _free(disk) - leave) > 0:
                    _WRITE(descriptor, bytes(min(size, free)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    finally:
        os.close(descriptor)


def free(disk: Path) -> None:
    """Take the ballast out again; FileNotFoundError where none was poured, since there were fewer writes."""
    (disk / BALLAST).unlink()


_WRITE, _OPEN = os.write, io.open


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


@contextmanager
def full_before(write: int, disk: Path) -> Iterator[None]:
    """Within the block, write number `write` (from 1) of those to `disk` finds it full, and so do all after it."""
    device, count = os.stat(disk).st_dev, 0

    def counted(descriptor: int, content: Any) -> int:
        nonlocal count
        with suppress(OSError):  # a closed descriptor is for the real write to complain about
            if os.fstat(descriptor).st_dev == device:
                count += 1
                if count == write:
                    fill(disk)
        return _WRITE(descriptor, content)

    def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        slow = not set(mode).isdisjoint("wax+")
        return (_pyio.open if slow else _OPEN)(file, mode, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", counted)
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        if hasattr(pathlib, "_NormalAccessor"):  # Python 3.10 keeps a reference of its own
            patch.setattr(pathlib._NormalAccessor, "open", staticmethod(opened))
        yield


def edgecnn_on_full_disk(write: int, disk: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a child process, for which `disk` fills up before its write number `write`."""
    command = [sys.executable, "-m", "tests.small_disk", str(write), str(disk), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


if __name__ == "__main__":
    from edgecnn.cli import main

    with full_before(int(sys.argv[1]), Path(sys.argv[2])):
        main(sys.argv[3:])
