"""What systemd wants to know of a service: that it is ready, how it does, that it is alive (sd_notify(3), no library).

Outside a service of Type=notify there is no NOTIFY_SOCKET, and all of this does nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

TIMEOUT_S = 0.2
"""A service manager that does not read shall not hold up the camera for longer."""


class Notifier:
    """Tells the service manager. Source: systemd's sd_notify(3), section Notes, on the protocol."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(TIMEOUT_S)

    def ready(self) -> None:
        """It has started: what comes after it in the order may start."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """How it does, for people: `systemctl status` shows it in a line."""
        self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's sign of life; see `Watchdog`."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str) -> None:
        if self._socket is not None and self._address is not None:
            with suppress(OSError):  # nobody listens any more: that is the manager's affair
                self._socket.sendto(state.encode(errors="replace"), self._address)


def _address(given: str) -> str | None:
    """A path, or a name of the abstract namespace (unix(7)), written with @; other kinds are for virtual machines."""
    if given.startswith("@"):
        return "\0" + given[1:]
    return given if given.startswith("/") else None


class Watchdog:
    """Signs of life, twice in the time after which systemd would start the service anew (WatchdogSec=).

    `ping` belongs into the frame loop: one that hangs gives no more signs. Source: sd_watchdog_enabled(3).
    """

    def __init__(self, notifier: Notifier, environment: Mapping[str, str] = os.environ) -> None:
        self._notifier = notifier
        self.interval_ns = _interval_ns(environment)
        """The time after which systemd gives up; None where it doesn't watch this process."""
        self._last_ns: int | None = None

    def ping(self, now_ns: int) -> None:
        """A sign of life, where half of the interval has passed since the last; `now_ns` by time.monotonic_ns()."""
        if self.interval_ns is None:
            return
        if self._last_ns is None or now_ns - self._last_ns >= self.interval_ns // 2:
            self._last_ns = now_ns
            self._notifier.alive()


def _interval_ns(environment: Mapping[str, str]) -> int | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for a parent
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) * 1000 if microseconds.isascii() and microseconds.isdigit() and int(microseconds) else None
