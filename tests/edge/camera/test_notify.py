"""What systemd hears, through a real socket."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edgecnn.edge.camera.notify import Notifier, Watchdog

MS = 1_000_000


class Systemd:
    """The listening end."""

    def __init__(self, address: str) -> None:
        self.given = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        with suppress(BlockingIOError):
            while True:
                messages.append(self._socket.recv(4096).decode())
        return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(str(tmp_path / "notify") if request.param == "path" else f"@edgecnn-{uuid.uuid4()}")
    yield listening
    listening.close()


def test_it_is_told_what_happens(systemd: Systemd) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.given})
    notifier.ready()
    notifier.status("24.9 frames/s\nREADY=0")
    notifier.stopping()
    assert systemd.heard() == ["READY=1", "STATUS=24.9 frames/s READY=0", "STOPPING=1"]
    notifier.close()
    notifier.ready()
    assert systemd.heard() == []


def test_signs_of_life_come_twice_an_interval_however_often_the_loop_turns(systemd: Systemd) -> None:
    environment = {"NOTIFY_SOCKET": systemd.given, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}
    watchdog = Watchdog(Notifier(environment), environment)
    for now_ms in range(0, 3000, 10):
        watchdog.ping(now_ms * MS)
    assert systemd.heard() == ["WATCHDOG=1"] * 6, "at 0, 0.5, ... 2.5 s"


@pytest.mark.parametrize(
    "watching",
    [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}],
)
def test_without_a_watchdog_there_are_no_signs(systemd: Systemd, watching: dict[str, str]) -> None:
    environment = {"NOTIFY_SOCKET": systemd.given, **watching}
    watchdog = Watchdog(Notifier(environment), environment)
    watchdog.ping(0)
    assert systemd.heard() == []
    assert watchdog.interval_ns is None


def test_a_watchdog_that_names_no_process_means_this_one(systemd: Systemd) -> None:
    environment = {"NOTIFY_SOCKET": systemd.given, "WATCHDOG_USEC": "2000000"}
    Watchdog(Notifier(environment), environment).ping(7)
    assert systemd.heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_socket_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", pytest.fail)
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    notifier.ready()
    notifier.close()


def test_a_manager_that_is_gone_or_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    gone.ready()
    deaf = Systemd(str(tmp_path / "deaf"))
    notifier = Notifier({"NOTIFY_SOCKET": deaf.given})
    began, fast = time.monotonic(), 0
    for _ in range(2000):  # more than a socket's queue holds (net.unix.max_dgram_qlen)
        before = time.monotonic()
        notifier.alive()
        if time.monotonic() - before > 0.1:
            break
        fast += 1
    assert fast < 2000, "the queue was full, and it waited"
    assert time.monotonic() - began < 20, "but not for long"
    deaf.close()
