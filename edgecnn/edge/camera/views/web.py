"""The web page: the live picture, its answer and how the camera is doing, for browsers on this machine or near it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import TracebackType

from edgecnn.edge.camera.live import Live
from edgecnn.edge.camera.views import address as addresses
from edgecnn.edge.camera.views import server, tokens
from edgecnn.edge.camera.views.feed import Feed

ADDRESS, PORT = "127.0.0.1", 8080


class WebView:
    """Serves the page from threads of its own, between `start` and `stop`, or in a `with` block.

    address: an IP address or a name of this machine; any but its own loopback needs a token. port: 0 is a free one.
    token: the file that holds it, made where there is none, and then needed on loopback too; None is
    `tokens.default_path()`, where one is needed. seen_as: the port by which browsers know the page, where they come
    through a tunnel. Raises MissingExtra without Starlette and uvicorn, UsageError where
    the address or the port can't be had, and what `tokens.keep_token` raises.
    """

    def __init__(
        self,
        live: Live,
        address: str = ADDRESS,
        port: int = PORT,
        token: Path | None = None,
        seen_as: int | None = None,
    ) -> None:
        server.check_installed()
        self._listening = addresses.listen(address, port)
        try:
            needed = token is not None or not addresses.is_loopback(self._listening)
            self.token_file = (token or tokens.default_path()) if needed else None
            """Where the token lies; None where none is needed."""
            self._token = tokens.keep_token(self.token_file) if self.token_file else None
            known_port = seen_as or self._listening.getsockname()[1]
            self.address = addresses.url(self._listening, known_port)
            """The page's address without the token: for logs."""
            self._feed = Feed(live)
            self._server = server.Server(self._feed, addresses.names(address), known_port, self._token)
        except BaseException:
            self._listening.close()
            raise
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgecnn-web-server", daemon=True)

    def start(self) -> str:
        """Begin to serve; the address to open, with the token: for the person who asked, not for a log."""
        self._thread.start()
        self._ready.wait()
        assert self._loop is not None, "the server's thread sets it"
        self._feed.start(self._loop)
        return self.address if self._token is None else f"{self.address}?token={self._token}"

    def stop(self) -> None:
        """End within two seconds, whoever is watching; does nothing where it has not begun or has ended."""
        if self._loop is None:
            self._listening.close()
        elif self._thread.is_alive():
            self._feed.stop()
            self._loop.call_soon_threadsafe(self._server.end)
            self._thread.join()

    def __enter__(self) -> WebView:
        """Begin to serve; `start` is for who needs the address with the token."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._server.serve(self._listening)
