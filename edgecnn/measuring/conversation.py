"""Talking to a process of ours, here or on a device: lines of JSON, requests down one pipe, answers up another.

Bytes may stand behind either.

Whose fault it is when it ends or falls silent, the caller knows: it catches `Ended`, `Silent` and `Astray`.
"""

from __future__ import annotations

import json
import os
import select
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from edgecnn.measuring.place import Place

BLOCK = 1 << 16
Self = TypeVar("Self", bound="Partner")


class Ended(Exception):
    """The process has ended: with `code`, having said `said` on stderr."""

    def __init__(self, code: int, said: bytes) -> None:
        super().__init__(code)
        self.code, self.said = code, said


class Silent(Exception):
    """It has given no answer in time."""


class Astray(Exception):
    """It has answered with what is no JSON: whoever speaks there is no process of ours any more."""


class Conversation:
    """A process at a place, started with what `python -m edgecnn.edge` can be asked to do.

    Each call raises `Ended` where the process ends, `Silent` where it takes longer than `seconds`, LinkLost where the
    place can't be reached any more.
    """

    def __init__(self, place: Place, words: Sequence[str]) -> None:
        self._place = place
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = place.start(words, self._complaints)
        self._unread = b""

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            assert pipe is not None, "all three were made here"
            pipe.close()

    def ask(self, request: Mapping[str, Any], seconds: float, behind: bytes = b"") -> Any:
        """The answer to a request, with what stands behind it; `Astray` where it is no JSON."""
        assert self._process.stdin is not None, "it is a place's promise"
        deadline = time.monotonic() + seconds
        left = memoryview(json.dumps(request).encode() + b"\n" + behind)
        try:
            while left:
                left = left[self._process.stdin.write(left) :]
        except BrokenPipeError as error:
            raise self._ended() from error
        while b"\n" not in self._unread:
            self._read(deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError as error:
            raise Astray(line.decode(errors="replace")) from error

    def take(self, count: int, seconds: float) -> bytes:
        """So many bytes behind an answer."""
        deadline = time.monotonic() + seconds
        while len(self._unread) < count:
            self._read(deadline)
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def _read(self, deadline: float) -> None:
        """Wait for more of an answer."""
        assert self._process.stdout is not None, "it is a place's promise"
        descriptor, left = self._process.stdout.fileno(), deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise Silent
        part = os.read(descriptor, BLOCK)
        if not part:
            raise self._ended()
        self._unread += part

    def _ended(self) -> Ended:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read()
        self._place.check(code, said)
        return Ended(code, said)


class Partner:
    """One side of a conversation: a `with` block that leaves no process behind."""

    def __init__(self, place: Place, words: Sequence[str]) -> None:
        self._conversation = Conversation(place, words)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._conversation.close()
