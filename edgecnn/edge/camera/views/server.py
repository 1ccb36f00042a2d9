"""The web page's routes and its server: Starlette and uvicorn, which only this file needs. web.py is its door."""

from __future__ import annotations

import asyncio
import socket
from importlib.resources import files

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgecnn.edge.camera.views import doors, stream
from edgecnn.edge.camera.views.feed import Feed

PAGE = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
"""The page's files, in `page` beside this one (or in the zip file that this one is in)."""
CONNECTIONS = 128
"""More are closed at once, so that no crowd uses up the camera's file descriptors."""
READ_S = 10
"""Within which a connection asks for something, and takes what it is sent."""
END_S = 0.4
"""Within which a viewer takes the rest when the camera stops."""


class Connection(H11Protocol):
    """uvicorn's, but with limits: a viewer that does not read is dropped, and so is one that does not ask."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let nothing pile up: sending goes on when the kernel has taken all that was sent."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        self._unread: asyncio.TimerHandle | None = None
        self._unasked = self.loop.call_later(READ_S, self._give_up_asking)
        if len(self.connections) > CONNECTIONS:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Half a request must be whole in time."""
        super().data_received(data)
        self._unasked.cancel()
        self._unasked = self.loop.call_later(READ_S, self._give_up_asking)

    def pause_writing(self) -> None:
        """The viewer does not read; it has READ_S to begin again."""
        super().pause_writing()
        self._unread = self.loop.call_later(READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read all."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def connection_lost(self, error: Exception | None) -> None:
        """Whatever was waited for, it is over."""
        super().connection_lost(error)
        self._unasked.cancel()
        if self._unread is not None:
            self._unread.cancel()

    def _give_up_asking(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class Server:
    """uvicorn in an event loop; `run` blocks, `end` is called in the loop."""

    def __init__(self, feed: Feed, names: set[str], port: int, token: str | None) -> None:
        self._feed = feed
        config = uvicorn.Config(
            doors.Doors(application(feed), names, port, token),
            http=Connection,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # faults of ours; requests are not logged, there is a token in one
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)

    async def serve(self, listening: socket.socket) -> None:
        """Serve until `end`; the socket is closed."""
        await self._uvicorn.serve(sockets=[listening])

    def end(self) -> None:
        """Close the streams, and soon every connection that is still there."""
        self._feed.closing.set()
        self._uvicorn.should_exit = True
        asyncio.get_running_loop().call_later(END_S, self._abort)

    def _abort(self) -> None:
        for connection in list(self._uvicorn.server_state.connections):
            assert isinstance(connection, Connection), "the server makes no others"
            connection.transport.abort()


def application(feed: Feed) -> Starlette:
    """The page, without doors."""
    made = Starlette(routes=routes(feed))
    made.router.redirect_slashes = False  # a path is known or not
    return made


def routes(feed: Feed) -> list[BaseRoute]:
    """Everything that can be asked for."""
    streams = {
        "/stream": stream.Stream(
            "multipart/x-mixed-replace; boundary=frame", feed, feed.picture_seats, stream.pictures
        ),
        "/events": stream.Stream("text/event-stream; charset=utf-8", feed, feed.event_seats, stream.events),
    }
    pages = [_file(path, name, kind) for path, (name, kind) in PAGE.items()]
    return [*pages, *(Route(path, one, methods=["GET"]) for path, one in streams.items())]


def _file(path: str, name: str, kind: str) -> Route:
    """A route to one of the page's files, which is read here, once."""
    content = (files(__package__) / "page" / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, answer, methods=["GET"])
