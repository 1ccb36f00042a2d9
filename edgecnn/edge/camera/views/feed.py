"""From `Live` to the web page's viewers: each picture is encoded once, for all of them, and only while somebody looks.

A thread of its own waits for the newest picture, encodes it (OpenCV lets other threads run meanwhile) and lays it where
the server's loop finds it. Whoever puts pictures into `Live` never waits for it.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from typing import Any

import numpy as np

from edgecnn.edge.camera.live import Live, Shown
from edgecnn.edge.camera.overlay import blend
from edgecnn.edge.pixels import Image
from edgecnn.records import to_json

VIEWERS = 20
PICTURES_PER_S = 25
JPEG_QUALITY = 80
LONGEST_SIDE = 1280
"""Pixels; a larger picture is shrunk, which is cheaper than to encode and to send it."""
WAIT_S = 0.2
"""How long the thread waits for a picture before it looks whether to stop."""
BOUNDARY = b"--frame\r\n"


class Newest:
    """One place that holds the newest content for the server's loop; used in that loop only."""

    def __init__(self) -> None:
        self._number, self._content, self._changed = 0, b"", asyncio.Event()

    def put(self, content: bytes) -> None:
        """Something newer; whoever waits is woken."""
        self._number, self._content = self._number + 1, content
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def forget(self) -> None:
        """What lies there is old: whoever comes waits for the next."""
        self._content = b""

    @property
    def empty(self) -> bool:
        """Whether whoever comes has to wait."""
        return not self._content

    async def after(self, seen: int) -> tuple[int, bytes]:
        """The newest with its number, once there is one beyond `seen`."""
        while self._number <= seen or self.empty:
            await self._changed.wait()
        return self._number, self._content


class Seats:
    """The places of one stream's viewers; used in the server's loop only."""

    def __init__(self, feed: Feed, newest: Newest) -> None:
        self._feed, self._newest, self.taken = feed, newest, 0

    def take(self) -> bool:
        """Take a place; False where all are taken."""
        if self.taken >= VIEWERS:
            return False
        self.taken += 1
        self._feed.somebody_came(self._newest.empty)
        return True

    def free(self) -> None:
        """Give a place back."""
        self.taken -= 1
        if self.taken == 0:
            self._newest.forget()
        self._feed.somebody_left()


class Feed:
    """What the streams send: `pictures` are parts of a multipart stream, `results` server-sent events."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.pictures, self.results = Newest(), Newest()
        self.picture_seats, self.event_seats = Seats(self, self.pictures), Seats(self, self.results)
        self.closing = asyncio.Event()
        """Set in the loop: streams end."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop, self._looked_at, self._anew = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgecnn-web-pictures", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to fill `pictures` and `results`, in `loop`."""
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a picture that is being encoded is finished."""
        self._stop.set()
        self._looked_at.set()
        self._thread.join()

    def somebody_came(self, finds_nothing: bool) -> None:
        """Wake up; where there is nothing to see yet, take the picture that was there before once more."""
        self.live.watch(+1)
        if finds_nothing:
            self._anew.set()
        self._looked_at.set()

    def somebody_left(self) -> None:
        """Rest where nobody looks."""
        self.live.watch(-1)
        if self.picture_seats.taken + self.event_seats.taken == 0:
            self._looked_at.clear()

    def health(self) -> bytes:
        """How the camera is doing, as an event."""
        return event("health", {**to_json(self.live.health), "closed": self.live.closed})

    def hello(self) -> bytes:
        """Which model answers, as an event; its labels need not be known."""
        card = to_json(self.live.model)
        return event("model", {**card, "labels": len(card["labels"])})

    def _run(self) -> None:
        seen = 0
        while not self._stop.is_set() and not self.live.closed:
            if not self._looked_at.wait(WAIT_S):
                continue
            if self._anew.is_set():
                self._anew.clear()
                seen = 0
            began = time.monotonic()
            seen, shown = self.live.newest(seen, WAIT_S)
            if shown is not None:
                self._publish(shown)
                self._stop.wait(max(0.0, began + 1 / PICTURES_PER_S - time.monotonic()))

    def _publish(self, shown: Shown) -> None:
        assert self._loop is not None, "it was started"
        self._loop.call_soon_threadsafe(self.results.put, event("result", to_json(shown.result)))
        if self.picture_seats.taken:
            self._loop.call_soon_threadsafe(self.pictures.put, part(encode(shown)))


def encode(shown: Shown) -> bytes:
    """A picture with its heat map, if it has one, as JPEG."""
    import cv2

    picture = shown.picture
    if shown.heatmap is not None and shown.part is not None:
        picture = blend(picture, shown.heatmap, shown.part)
    bgr = cv2.cvtColor(_shrunk(picture), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def _shrunk(picture: Image) -> Image:
    import cv2

    height, width = picture.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def part(jpeg: bytes) -> bytes:
    """One part of the multipart stream, the next one's boundary included: a browser shows a part once it has that."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return b"".join((head.encode(), jpeg, b"\r\n", BOUNDARY))


def event(name: str, content: Any) -> bytes:
    """A server-sent event; JSON in ASCII has no line break that could end it early."""
    return f"event: {name}\ndata: {json.dumps(_finite(content), allow_nan=False)}\n\n".encode()


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity: such a figure could not be had."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
