"""Where the web page listens, what that place is called, and how it is written in a browser's address bar."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from typing import Any

from edgecnn.errors import UsageError

SEND_BUFFER = 64 << 10
"""Bytes of a connection that the kernel holds (Linux doubles them): what lies there is old when it is read."""
BACKLOG = 64


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens at an IP address or a name of this machine; port 0 is a free one.

    Raises UsageError where the port is taken or not the user's, or the address not this machine's.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is 0 to 65535, got {port}")
    family, place = _resolve(address, port)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit it
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # `::` takes IPv4 too
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UsageError(_refused(error, address, port)) from error
    return listening


def _resolve(address: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """Its family and what bind takes; IPv4 first, where a name has both."""
    try:
        found = socket.getaddrinfo(address.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"'{address}' is no address and no name of this machine; --host takes one") from error
    family, _, _, _, place = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, place


def _refused(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {address} is taken; give another with --port, or 0 for a free one"
    if error.errno == errno.EACCES:
        return f"port {port} is the system's; give one of 1024 and up with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine has no address {address}; --host 0.0.0.0 is all that it has"
    return f"can't listen at {address}, port {port} ({error.strerror})"


def is_loopback(listening: socket.socket) -> bool:
    """Whether only programs of this machine get there."""
    return _ip(listening).is_loopback


def names(address: str) -> set[str]:
    """What a Host header may call this machine, besides the IP address that a connection comes in at."""
    host = socket.gethostname().lower()
    return {address.strip("[]").lower(), "localhost", host, f"{host.partition('.')[0]}.local"}


def url(listening: socket.socket, port: int) -> str:
    """The page's address with the port by which it is known.

    Where the socket listens at all of the machine's addresses, it is the one that others reach first.
    """
    ip = _ip(listening)
    if ip.is_unspecified:
        return f"http://{_outward() or socket.gethostname()}:{port}/"
    return f"http://{f'[{ip}]' if ip.version == 6 else ip}:{port}/"


def _ip(listening: socket.socket) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0])


def _outward() -> str | None:
    """This machine's IPv4 address towards everywhere else; no packet is sent. None without a network."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))  # an address that RFC 5737 gives to nobody
        return str(asking.getsockname()[0])
    return None
