"""The web page's routes and its server: Starlette and uvicorn, which only this file needs, and only when it serves."""

from __future__ import annotations

import asyncio
import importlib
import socket
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from edgecnn.edge.camera.views import doors, stream
from edgecnn.edge.camera.views.feed import Feed
from edgecnn.errors import MissingExtra

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route

LIBRARIES = ("starlette", "uvicorn")
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


def check_installed() -> None:
    """MissingExtra where a library is not installed."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise MissingExtra("the web page", error.name or name, "camera") from error


class Connection(asyncio.Protocol):
    """One of uvicorn's, but with limits: a viewer that does not read is dropped, and so is one that does not ask."""

    def __init__(self, **given: Any) -> None:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        self._http = H11Protocol(**given)
        self._unread: asyncio.TimerHandle | None = None
        self._unasked: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let nothing pile up: sending goes on when the kernel has taken all that was sent."""
        assert isinstance(transport, asyncio.Transport), "a socket's"
        self._http.connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        self._wait_for_request()
        if len(self._http.connections) > CONNECTIONS:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """A request must be whole in time, however often another byte of it comes."""
        before = self._http.cycle
        self._http.data_received(data)
        if self._http.cycle is not before:
            self._wait_for_request()

    def eof_received(self) -> None:
        """uvicorn decides."""
        self._http.eof_received()

    def pause_writing(self) -> None:
        """The viewer does not read; it has READ_S to begin again."""
        self._http.pause_writing()
        self._unread = self._http.loop.call_later(READ_S, self._http.transport.abort)

    def resume_writing(self) -> None:
        """It has read all."""
        self._http.resume_writing()
        _cancel(self._unread)

    def connection_lost(self, error: Exception | None) -> None:
        """Whatever was waited for, it is over."""
        self._http.connection_lost(error)
        _cancel(self._unread)
        _cancel(self._unasked)

    def _wait_for_request(self) -> None:
        _cancel(self._unasked)
        self._unasked = self._http.loop.call_later(READ_S, self._give_up_asking)

    def _give_up_asking(self) -> None:
        if self._http.cycle is None or self._http.cycle.response_complete:
            self._http.transport.abort()
        else:
            self._wait_for_request()  # a stream; its viewer asks for nothing meanwhile


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class Server:
    """uvicorn in an event loop; `run` blocks, `end` is called in the loop."""

    def __init__(self, feed: Feed, names: set[str], port: int, token: str | None) -> None:
        import uvicorn

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
            connection.transport.abort()


def application(feed: Feed) -> Starlette:
    """The page, without doors."""
    from starlette.applications import Starlette

    made = Starlette(routes=routes(feed))
    made.router.redirect_slashes = False  # a path is known or not
    return made


def routes(feed: Feed) -> list[BaseRoute]:
    """Everything that can be asked for."""
    from starlette.routing import Route

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
    from starlette.responses import Response
    from starlette.routing import Route

    content = (files(__package__) / "page" / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, answer, methods=["GET"])
