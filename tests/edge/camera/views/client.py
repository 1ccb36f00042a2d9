"""Viewers of the web page that are no browsers: requests, and sockets that read or don't."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """An answer; of one that goes on, `body` is empty."""

    status: int
    headers: Mapping[str, str]
    body: str


ENDLESS = ("multipart/x-mixed-replace", "text/event-stream")


def ask(url: str, path: str, method: str = "GET", **headers: str) -> Reply:
    """One request; underscores in the names of headers stand for hyphens. `Host` is the address unless given."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        endless = method == "GET" and named.get("content-type", "").startswith(ENDLESS)
        return Reply(response.status, named, "" if endless else response.read().decode())
    finally:
        connection.close()


def watch(url: str, path: str = "/stream", receive_buffer: int | None = None, **headers: str) -> socket.socket:
    """A socket that has asked for a stream and has read nothing."""
    place = urlsplit(url)
    family = socket.AF_INET6 if ":" in (place.hostname or "") else socket.AF_INET
    viewer = socket.socket(family, socket.SOCK_STREAM)
    viewer.settimeout(10)
    if receive_buffer is not None:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    viewer.connect((place.hostname, place.port))
    given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n{given}\r\n".encode())
    return viewer


def read_until(viewer: socket.socket, wanted: bytes, count: int = 1, seconds: float = 60) -> bytes:
    """What comes until `wanted` has come so often, or the stream ends. TimeoutError if it doesn't come in time."""
    read, until = b"", time.monotonic() + seconds
    while read.count(wanted) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{wanted!r} came {read.count(wanted)} times in {seconds:.0f} s, not {count}")
        piece = viewer.recv(1 << 16)
        if not piece:
            break
        read += piece
    return read


def eventually(true: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it becomes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return true()
