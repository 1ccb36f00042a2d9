"""Where the page listens, and what is said where it can't."""

from __future__ import annotations

import socket

import pytest

from edgecnn.edge.camera.views import address
from edgecnn.errors import UsageError


def test_a_port_that_is_taken_is_named() -> None:
    with address.listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} of 127.0.0.1 is taken; give another with --port"):
            address.listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("given", "port", "said"),
    [
        ("192.0.2.7", 0, "this machine has no address 192.0.2.7"),
        ("no.such.name.invalid", 0, "'no.such.name.invalid' is no address"),
        ("a" * 80, 0, "is no address"),
        ("127.0.0.1", 65536, "--port is 0 to 65535, got 65536"),
        ("127.0.0.1", -1, "--port is 0 to 65535, got -1"),
    ],
)
def test_an_address_that_can_not_be_had_is_named(given: str, port: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        address.listen(given, port)


@pytest.mark.parametrize(
    ("given", "shown", "loopback"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("127.1.2.3", "127.1.2.3", True),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
        ("0.0.0.0", None, False),  # noqa: S104 - all addresses is what is tested
        ("::", None, False),
    ],
)
def test_what_it_is_called(given: str, shown: str | None, loopback: bool) -> None:
    if ":" in given and not socket.has_ipv6:
        pytest.skip("needs IPv6")
    with address.listen(given, 0) as listening:
        port = listening.getsockname()[1]
        assert address.is_loopback(listening) == loopback
        if shown is not None:
            assert address.url(listening, port) == f"http://{shown}:{port}/"
        else:
            assert "0.0.0.0" not in address.url(listening, port)  # noqa: S104
            assert "::" not in address.url(listening, port)
