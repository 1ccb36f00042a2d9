"""SIGTERM and Ctrl-C: at once for most verbs; training saves first, and a second signal doesn't wait for that."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType

HEARD = (signal.SIGINT, signal.SIGTERM)
TOGETHER = 1.0
"""Seconds within which signals are one: a terminal and torchrun each pass a Ctrl-C on."""


class Terminated(BaseException):
    """SIGTERM came. Like KeyboardInterrupt it is no Exception: everything on the way up tidies and passes it on."""


def at_once(number: int, frame: FrameType | None = None) -> None:
    """The handler of a signal that doesn't wait."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(signal.Signals(number).name)


class StopSignals:
    """From `arm()` to the end of the block, the first signal is only remembered; a second one acts at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._before: dict[int, object] = {}
        self._came, self._told = 0.0, False
        self.number = 0
        """The signal that came, 0 before."""

    def arm(self) -> None:
        """From here on there is something to save."""
        if not self._before:
            self._before = {number: signal.signal(number, self._remember) for number in HEARD}

    def __enter__(self) -> StopSignals:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _remember(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number and now - self._came > TOGETHER:
            at_once(number)
        if not self.number:
            self.number, self._came = number, now

    def tell(self) -> None:
        """Say what came, once; not from the handler, which may have interrupted somebody who was just speaking."""
        if self.number and not self._told:
            self._told = True
            self._say(f"{signal.Signals(self.number).name}: saving after this step; once more stops at once")
