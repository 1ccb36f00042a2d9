"""Files on their way to a device: only what is not there yet, under a temporary name until it is whole."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.errors import DeviceError, LinkLost, OutOfResources, UsageError
from edgecnn.remote.ssh import Connection
from edgecnn.remote.trouble import noisy
from edgecnn.storage import sha256_file

STALLED_S = 25.0
"""Without a byte moving, an upload is given up."""
HASHING_BYTES_PER_S = 10e6
"""How slow a device may be at hashing what it has."""
SLOWEST_BYTES_PER_S = 20e3
IN_FLIGHT = 4 << 20
"""Bytes that ssh and the kernels may have taken and not delivered yet, when the last of a file is handed over."""
LONGEST_NAME = 255
"""Bytes, on all the file systems that a device may have."""
BLOCK = 1 << 16


@dataclass(frozen=True)
class Parcel:
    """Content that shall lie at `path` on a device, counted from the home folder: `.edgecnn/files/...`.

    UsageError for a path that leads elsewhere, or has a part that no file can be called.
    """

    path: str
    content: Path | bytes

    def __post_init__(self) -> None:
        if problem := _problem(self.path):
            raise UsageError(f"{self.path!r:.80} is no path for a file on a device: {problem}")

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @property
    def sha256(self) -> str:
        """Of the content, hexadecimal."""
        if isinstance(self.content, bytes):
            return hashlib.sha256(self.content).hexdigest()
        return sha256_file(self.content)

    def read(self) -> bytes:
        """The content."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


def _problem(path: str) -> str | None:
    """What is wrong with a path, in words."""
    try:
        parts = [os.fsencode(part) for part in path.split("/")]
    except UnicodeEncodeError:
        return "it holds what no text can hold"
    if path.startswith("/"):
        return "it is counted from the home folder"
    if not {b"", b".", b".."}.isdisjoint(parts):
        return "a part of it is empty, '.' or '..'"
    if b"\0" in os.fsencode(path):
        return "it holds a NUL character"
    if max(map(len, parts)) > LONGEST_NAME:
        return f"a part of it is longer than {LONGEST_NAME} bytes"
    return None


def upload(
    connection: Connection,
    parcels: Sequence[Parcel],
    *,
    python: str = "python3",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Put parcels in place over there; the bytes that had to travel, of those that were not there.

    progress: is told bytes handed to ssh, and in all. Under a parcel's path there is, whatever happens to the link, a
    whole file or none. Raises LinkLost where the link is lost or nothing moves for 25 s, OutOfResources where the
    disk over there is full.
    """
    if not parcels:
        return 0
    # isolated, in UTF-8: nothing of the user's Python over there, and names are the same bytes there as here
    with connection.start([python, "-I", "-X", "utf8", "-c", receiver()], stderr=subprocess.PIPE) as process:
        try:
            return _Upload(connection, process, python).run(parcels, progress)
        finally:
            process.kill()


def receiver() -> str:
    """The code of the other side, which travels with each upload."""
    return (importlib.resources.files("edgecnn.edge") / "receive.py").read_text(encoding="utf-8")


class _Upload:
    """One conversation with edgecnn/edge/receive.py."""

    def __init__(self, connection: Connection, process: subprocess.Popen[bytes], python: str) -> None:
        self._connection, self._process, self._python = connection, process, python
        self._host = connection.address.host
        self._unread = b""

    def run(self, parcels: Sequence[Parcel], progress: Callable[[int, int], None]) -> int:
        order = [{"path": parcel.path, "size": parcel.size, "sha256": parcel.sha256} for parcel in parcels]
        self._send(json.dumps(order).encode() + b"\n")
        wanted: list[int] = self._answer(STALLED_S + sum(parcel.size for parcel in parcels) / HASHING_BYTES_PER_S)
        total = sum(parcels[place].size for place in wanted)
        done = 0
        for place in wanted:
            content = memoryview(parcels[place].read())
            for start in range(0, len(content), BLOCK):
                block = content[start : start + BLOCK]
                self._send(block)
                done += len(block)
                progress(done, total)
            self._answer(STALLED_S + min(len(content), IN_FLIGHT) / SLOWEST_BYTES_PER_S)
        return total

    def _send(self, content: bytes | memoryview) -> None:
        assert self._process.stdin is not None, "it is a pipe"
        descriptor = self._process.stdin.fileno()
        os.set_blocking(descriptor, False)
        left = memoryview(content)
        while left:
            if not select.select([], [descriptor], [], STALLED_S)[1]:
                raise self._stalled()
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:  # what it has against it, it says on its stdout, or the link on stderr
                self._answer(STALLED_S)
                raise self._ended() from None

    def _answer(self, seconds: float) -> Any:
        assert self._process.stdout is not None, "it is a pipe"
        descriptor, deadline = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._unread:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise self._stalled()
            part = os.read(descriptor, BLOCK)
            if not part:
                raise self._ended()
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError as error:
            raise noisy(self._connection.address, line) from error
        if isinstance(found, dict) and "error" in found:
            refusal = f"{self._host}: a file could not be put there ({found['error']})"
            raise OutOfResources(f"{refusal}; free some space") if found.get("full") else DeviceError(refusal)
        return found

    def _stalled(self) -> LinkLost:
        return LinkLost(f"{self._host}: the link stalls, nothing went through for {STALLED_S:.0f} s; run it again")

    def _ended(self) -> DeviceError:
        """Why the other side is gone: the link, or no Python."""
        assert self._process.stderr is not None, "it is a pipe"
        try:
            code = self._process.wait(STALLED_S)
        except subprocess.TimeoutExpired:
            return self._stalled()
        said = self._process.stderr.read()
        self._connection.check(code, said)
        if code == 127:
            return DeviceError(f"{self._host}: there is no {self._python} over there; install Python 3.10 or newer")
        silent = "it was killed over there" if code == 255 else f"exit code {code}"
        last = said.decode(errors="replace").strip().splitlines()[-1:] or [silent]
        return DeviceError(f"{self._host}: an upload failed ({last[0]})")
