"""The two routes that go on for as long as somebody looks: pictures (multipart JPEG) and events (server-sent events).

A viewer gets the newest when it has taken all that was sent before, so one that reads slowly sees fewer pictures, not
older ones. One that does not read at all is dropped by the server (server.py), and its place is free again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from edgecnn.edge.camera.views.doors import Message, Receive, Scope, Send
from edgecnn.edge.camera.views.feed import BOUNDARY, VIEWERS, Feed, Seats

T = TypeVar("T")

RESULTS_PER_S = 15
HEALTH_S = 0.5
"""Also how the page knows that the camera's machine is still there."""
RETRY_S = 10


class Stream:
    """A route, as an ASGI application: `parts` one after the other to each viewer who has one of `seats`."""

    def __init__(self, kind: str, feed: Feed, seats: Seats, parts: Callable[[Feed], AsyncIterator[bytes]]) -> None:
        self._kind, self._feed, self._seats, self._parts = kind, feed, seats, parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the viewer or the camera goes; headers only for HEAD, 503 where every seat is taken."""
        if scope["method"] == "HEAD":
            await send(self._start(200))
            await send({"type": "http.response.body"})
        elif self._seats.take():
            try:
                await self._stream(receive, send)
            finally:
                self._seats.free()
        else:
            await send(self._start(503))
            body = f"{VIEWERS} viewers are watching already; try again when one has left.\n"
            await send({"type": "http.response.body", "body": body.encode()})

    def _start(self, status: int) -> Message:
        kind = self._kind if status == 200 else "text/plain; charset=utf-8"
        headers = [(b"content-type", kind.encode())]
        if status == 503:
            headers.append((b"retry-after", str(RETRY_S).encode()))
        return {"type": "http.response.start", "status": status, "headers": headers}

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send(self._start(200))
        ends = [self._flow(send), _disconnect(receive), self._feed.closing.wait()]
        tasks = [asyncio.ensure_future(end) for end in ends]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for result in done:
            if isinstance(result, Exception):
                raise result
        await send({"type": "http.response.body"})

    async def _flow(self, send: Send) -> None:
        async for part in self._parts(self._feed):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": True})  # waits until that was taken


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def pictures(feed: Feed) -> AsyncIterator[bytes]:
    """The parts of a multipart stream."""
    yield BOUNDARY
    seen = 0
    while True:
        seen, part = await feed.pictures.after(seen)
        yield part


async def events(feed: Feed) -> AsyncIterator[bytes]:
    """`model` once, `result` for each picture at most RESULTS_PER_S times a second, `health` every HEALTH_S."""
    yield feed.hello() + feed.health()
    clock, seen = asyncio.get_running_loop().time, 0
    health_due = clock() + HEALTH_S
    while True:
        left_s = health_due - clock()
        newer = await _within(left_s, feed.results.after(seen)) if left_s > 0 else None
        if newer is None:
            health_due = clock() + HEALTH_S
            yield feed.health()
        else:
            seen, result = newer
            yield result
            await asyncio.sleep(1 / RESULTS_PER_S)


async def _within(timeout_s: float, coming: Coroutine[Any, Any, T]) -> T | None:
    """What comes in time; else None. asyncio.wait_for swallows a cancellation in the turn that its result comes in.

    (Until Python 3.12, https://github.com/python/cpython/issues/86296.) A viewer who left then was sent to for ever.
    """
    task = asyncio.ensure_future(coming)
    try:
        await asyncio.wait([task], timeout=timeout_s)
        return task.result() if task.done() else None
    finally:
        task.cancel()
