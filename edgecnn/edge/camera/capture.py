"""`python -m edgecnn.edge capture`: a source's frames, decoded, into the slot, until there are no more.

A process of its own, since what reads cameras blocks, hangs and crashes in ways that no thread survives; whoever
started it kills it when nothing comes any more. The request is a line of JSON on stdin, and the end of stdin is the end
of the process. What happens is told in lines of JSON on stdout: {"event": "opened" | "skipped" | "failed" | "ended"}.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgecnn.edge.camera.addresses import shown
from edgecnn.edge.camera.frames import Captured, decode
from edgecnn.edge.camera.slot import Ends, Slot
from edgecnn.edge.camera.sources import Wanted, find_kind
from edgecnn.edge.camera.telling import Event, Tell, end_with
from edgecnn.errors import DeviceError, EdgecnnError, UnusableFile
from edgecnn.records import from_json


@dataclass(frozen=True)
class CaptureRequest:
    """What is captured into which slot. kinds: further kinds of sources, see `find_kind`."""

    source: str
    wanted: Wanted
    ends: Ends
    kinds: tuple[str, ...] = ()


class Capturer:
    """The process's work: one source, one slot."""

    def __init__(self, request: CaptureRequest, tell: Callable[[Event], None]) -> None:
        self._request, self._tell = request, tell
        self._slot = Slot(request.ends)
        self._fingerprint: int | None = None

    def run(self) -> None:
        """Until the source is at its end, or fails; either is told."""
        try:
            kind = find_kind(self._request.source, self._request.kinds)
            with kind.open(self._request.source, self._request.wanted) as source:
                self._tell(Event("opened", source.description, source.live))
                for captured in source:
                    self._take(captured, source.live)
            self._tell(Event("ended"))
        except EdgecnnError as error:
            self._tell(Event("failed", str(error), error=type(error).__name__))

    def _take(self, captured: Captured, live: bool) -> None:
        """One frame into the slot, unless it is damaged, or a live source's that has come before."""
        arrived = time.monotonic_ns()
        if captured.data.size == 0 and live:
            raise DeviceError(f"{shown(self._request.source)}: gives empty frames; check its cable and its driver")
        if live and self._is_repeated(captured):
            self._slot.repeat()
            return
        try:
            pixels = decode(captured, self._slot.room)
            number = self._slot.put(pixels, captured.captured_ns, arrived, time.monotonic_ns(), captured.name)
        except UnusableFile as error:
            self._tell(Event("skipped", str(error)))
            return
        except ValueError as error:  # the slot's: it doesn't know whose pixels they are
            self._tell(Event("skipped", f"{captured.name or shown(self._request.source)}: {error}"))
            return
        if not live and (self._request.wanted.fast or captured.name is not None):
            self._wait_taken(number)

    def _wait_taken(self, number: int) -> None:
        """Files that are read as fast as they can be, and pictures with names: none of them is dropped."""
        while not self._slot.wait_taken(number, 1.0):
            pass

    def _is_repeated(self, captured: Captured) -> bool:
        """Whether the bytes are those of the frame before: two pictures of the world never are, sensors have noise."""
        fingerprint = zlib.crc32(np.ascontiguousarray(captured.data).data)
        before, self._fingerprint = self._fingerprint, fingerprint
        return fingerprint == before


def serve() -> None:
    """What the process does."""
    tell = Tell()
    request = from_json(CaptureRequest, json.loads(sys.stdin.readline()))
    end_with(sys.stdin)
    Capturer(request, tell).run()
    os._exit(0)  # a library that hangs on its way out would look like a camera that does
