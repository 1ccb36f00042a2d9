"""A link that fails on demand: a TCP proxy between ssh and a loopback sshd that cuts or stalls after so many bytes."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Direction = Literal["there", "back"]
Kind = Literal["reset", "end", "stall"]
TURN_S = 0.1
"""How often a quiet link looks whether it is over."""
BLOCK = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What happens once, after `after` bytes of all that went in one direction.

    reset: both sides get an RST. end: both sides get a FIN. stall: nothing is forwarded any more, sockets stay open.
    """

    kind: Kind
    direction: Direction
    after: int


class Proxy:
    """A port of this machine that leads to another one; `passed` counts bytes, over all connections."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(TURN_S)
        self.port: int = self._server.getsockname()[1]
        self.passed: dict[Direction, int] = {"there": 0, "back": 0}
        self.fault: Fault | None = None
        self.bytes_per_s: float | None = None
        """How slow the link is; None is as fast as it goes."""
        self.fired_at: float | None = None
        """By time.monotonic(), when the fault happened."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Close the port and all connections."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._server.close()

    def arm(self, fault: Fault) -> None:
        """Count anew, and let a fault happen."""
        self.passed.update(there=0, back=0)
        self.fired_at, self.fault = None, fault

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._server.accept()
            except TimeoutError:
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            thread = threading.Thread(target=self._carry, args=(near, far), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        ends: dict[socket.socket, tuple[socket.socket, Direction]] = {near: (far, "there"), far: (near, "back")}
        with near, far:
            for end in ends:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._over.is_set():
                for source in select.select([near, far], [], [], TURN_S)[0]:
                    target, direction = ends[source]
                    try:
                        part = source.recv(BLOCK)
                        if not part:
                            return
                        whole = self._forward(target, direction, part)
                    except OSError:  # either side has gone; so does the other
                        return
                    if not whole:
                        return self._fail(near, far)

    def _forward(self, target: socket.socket, direction: Direction, part: bytes) -> bool:
        """Send on, up to the fault; whether all of it went."""
        fault = self.fault
        if fault is not None and fault.direction == direction:
            left = fault.after - self.passed[direction]
            if left < len(part):
                self._send(target, direction, part[:left])
                return False
        self._send(target, direction, part)
        return True

    def _send(self, target: socket.socket, direction: Direction, part: bytes) -> None:
        self.passed[direction] += len(part)
        if self.bytes_per_s is not None:
            time.sleep(len(part) / self.bytes_per_s)
        target.sendall(part)

    def _fail(self, near: socket.socket, far: socket.socket) -> None:
        assert self.fault is not None, "it is what happens"
        kind, self.fault, self.fired_at = self.fault.kind, None, time.monotonic()
        if kind == "stall":
            self._over.wait()
        elif kind == "reset":
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """While the block runs, a way to a port."""
    found = Proxy(target)
    try:
        yield found
    finally:
        found.close()
