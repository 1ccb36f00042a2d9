"""`--record DIR`: keep frames by what they were taken for, to be looked through, sorted and trained on.

    DIR/<class>/20261125T034501.123Z_0.93.jpg     when it was taken (UTC), and how probable the class was

The time is in the name so that `edgecnn new` keeps frames of one moment on one side of a split. A thread writes, and
one frame waits for it at most: what comes meanwhile is not kept, and the loop is never slowed.
"""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgecnn.edge.pixels import Image
from edgecnn.errors import EdgecnnError, UsageError
from edgecnn.storage import disk_errors, sha256, write_whole

LIMIT_MIB = 1024
PER_SECOND = 1.0
QUALITY = 95
LIKE = 2.0
"""Two frames are alike where their thumbnails differ by less, on average, of 255."""
THUMBNAIL = 16
_LONGEST = 200
"""Bytes of a folder's name; file systems end at 255."""
_CUT_MARK = "%-"
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)


# --- names -----------------------------------------------------------------------------------------------------------


def folder_name(label: str) -> str:
    """A name for a label's folder, safe on every file system; ordinary labels stay as they are.

    What is unsafe is written as in URLs, and urllib.parse.unquote(errors="surrogatepass") reverses it: separators and
    what Windows forbids, a dot in front, a dot or space behind, what can't be printed. Of a label that is too long the
    beginning is kept, with `%-` and a part of its SHA-256 behind. An empty label is `%`.
    """
    last = len(label) - 1
    name = "".join(_quoted(char) if _is_unsafe(char, at == 0, at == last) else char for at, char in enumerate(label))
    if _RESERVED.match(name):
        name = _quoted(name[0]) + name[1:]
    if len(name.encode()) > _LONGEST:
        digest = _CUT_MARK + sha256(label.encode(errors="surrogatepass"))[:16]
        kept = name.encode()[: _LONGEST - len(digest)].decode(errors="ignore")
        return re.sub(r"%[0-9A-F]?$", "", kept) + digest
    return name or "%"


def _is_unsafe(char: str, first: bool, last: bool) -> bool:
    return not char.isprintable() or char in '/\\:*?"<>|%' or (first and char == ".") or (last and char in ". ")


def _quoted(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode(errors="surrogatepass"))


def file_name(taken_ns: int, probability: float) -> str:
    """A frame's name, by when it was taken (nanoseconds since 1970): 20261125T034501.123Z_0.93.jpg."""
    return f"{time_stamp(taken_ns)}_{probability:.2f}.jpg"


def time_stamp(taken_ns: int) -> str:
    """UTC with milliseconds, as `edgecnn new` reads it from names: 20261125T034501.123Z."""
    seconds, rest = divmod(taken_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{moment}.{rest // 1_000_000:03}Z"


# --- which frames ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A picture to keep, uint8 [H, W, 3] RGB, and what it was taken for; `taken_ns` since 1970."""

    picture: Image
    label: str
    probability: float
    taken_ns: int


class Choice:
    """Which frames are worth keeping: of each label `per_second` at most, and none like the one kept before it."""

    def __init__(self, per_second: float = PER_SECOND) -> None:
        self._apart_ns = 1e9 / per_second
        self._last_ns: dict[str, int] = {}
        self._thumbnails: dict[str, Image] = {}

    def is_due(self, label: str, now_ns: int) -> bool:
        """Whether the last frame of the label that was looked at is long enough ago; cheap."""
        last = self._last_ns.get(label)
        return last is None or now_ns - last >= self._apart_ns

    def took(self, label: str, now_ns: int) -> None:
        """A frame of the label is looked at."""
        self._last_ns[label] = now_ns

    def is_new(self, frame: Frame) -> bool:
        """Whether it differs from the last frame of its label that did."""
        import cv2

        small = cv2.resize(frame.picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        before = self._thumbnails.get(frame.label)
        if before is not None and np.abs(small.astype(np.int16) - before).mean() < LIKE:
            return False
        self._thumbnails[frame.label] = np.asarray(small, np.uint8)
        return True


# --- writing ---------------------------------------------------------------------------------------------------------


class Recorder:
    """Keeps frames in a folder, up to `limit_mib` of all that lies there; a `with` block, at whose end all is written.

    Nothing is ever removed or replaced: at the limit no more is kept. A disk that is full, or refuses, ends recording
    with a message; the camera goes on.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None],
        limit_mib: float = LIMIT_MIB,
        per_second: float = PER_SECOND,
    ) -> None:
        """tell: takes a sentence, from another thread. UsageError where nothing can be written to `folder`."""
        if not limit_mib > 0 or not per_second > 0:
            raise UsageError(f"{folder}: {limit_mib} MiB and {per_second} frames/s keep nothing; give more than 0")
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"{folder}: can't be written (Permission denied); choose another folder")
        self._folder, self._tell = folder, tell
        self._limit, self._bytes = limit_mib * 2**20, _bytes_in(folder)
        self._choice = Choice(per_second)
        self._queue: queue.Queue[Frame | None] = queue.Queue(maxsize=1)
        self.kept = 0
        """Frames that were written."""
        self.stopped = False
        """Whether no more is kept: the limit is reached, or the disk refused."""
        self._thread = threading.Thread(target=self._work, name="--record", daemon=True)
        self._thread.start()

    def offer(self, picture: Image, label: str, probability: float, captured_ns: int) -> None:
        """Keep a frame, or don't; returns at once.

        picture: uint8 [H, W, 3] RGB, not written to any more. captured_ns: on the clock of time.monotonic_ns().
        """
        if self.stopped or not self._choice.is_due(label, captured_ns):
            return
        taken_ns = time.time_ns() - (time.monotonic_ns() - captured_ns)
        with suppress(queue.Full):
            self._queue.put_nowait(Frame(picture, label, probability, taken_ns))
            self._choice.took(label, captured_ns)

    def close(self) -> None:
        """Write what waits, and end."""
        self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        """Write what is offered, until the end; after a fault, take it and pass it over."""
        while (frame := self._queue.get()) is not None:
            if self.stopped:
                continue
            try:
                if self._choice.is_new(frame):
                    self._keep(frame)
            except (EdgecnnError, OSError) as error:
                self._stop(f"--record: {error}; recording has ended, the camera goes on")

    def _keep(self, frame: Frame) -> None:
        content = _jpeg(frame.picture)
        if self._bytes + len(content) > self._limit:
            self._stop(
                f"--record: {self._folder} holds {self._bytes / 2**20:.1f} MiB, and its limit is "
                f"{self._limit / 2**20:g} MiB; no more frames are kept (--record-limit sets it)"
            )
            return
        path = self._folder / folder_name(frame.label) / file_name(frame.taken_ns, frame.probability)
        if os.path.lexists(path):
            return  # another camera's of the same millisecond
        write_whole(path, content)
        self._bytes += len(content)
        self.kept += 1

    def _stop(self, message: str) -> None:
        self.stopped = True
        self._tell(message)


def _jpeg(picture: Image) -> bytes:
    import cv2

    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()


def _bytes_in(folder: Path) -> int:
    """The size of all files in a folder, and in those below it; links are not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # one that is gone by now
                total += os.lstat(os.path.join(place, name)).st_size
    return total
