"""When a frame was taken, and when the next one is due, on the clock of time.monotonic_ns()."""

from __future__ import annotations

import time
from collections.abc import Callable

PLAUSIBLE_NS = 2_000_000_000
"""How old a frame may be by a driver's time stamp: an older one is of another clock, or wrong."""
LATE_NS = 1_000_000_000
"""Who is later than this goes on from where it is, instead of hurrying after."""


def captured_ns(now_ns: int, *stamps_ns: float) -> int:
    """The first of a driver's time stamps that can be right: of the last two seconds; without any, now."""
    for stamp_ns in stamps_ns:
        if now_ns - PLAUSIBLE_NS <= stamp_ns <= now_ns:
            return int(stamp_ns)
    return now_ns


def asleep_ns() -> int:
    """How long this machine has been suspended: what CLOCK_BOOTTIME counts and CLOCK_MONOTONIC does not."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Pace:
    """Frames at their own times, from the first `wait` on."""

    def __init__(
        self, now_ns: Callable[[], int] = time.monotonic_ns, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._now_ns, self._sleep = now_ns, sleep
        self._start_ns: int | None = None

    def wait(self, at_s: float) -> int:
        """Sleep until `at_s` seconds after the start; when that is, in nanoseconds, which may be a little ago."""
        at_ns, now_ns = int(at_s * 1e9), self._now_ns()
        if self._start_ns is None or now_ns - self._start_ns - at_ns > LATE_NS:
            self._start_ns = now_ns - at_ns
        due_ns = self._start_ns + at_ns
        if due_ns > now_ns:
            self._sleep((due_ns - now_ns) / 1e9)
        return due_ns
