"""clock.py against a clock of the test's own."""

from __future__ import annotations

import time

import pytest

from edgecnn.edge.camera.clock import Pace, asleep_ns, captured_ns

SECOND = 1_000_000_000
NOW = 100 * SECOND


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ((NOW - 5_000_000,), NOW - 5_000_000),  # 5 ms ago
        ((NOW,), NOW),
        ((NOW + 1,), NOW),  # of the future: another clock
        ((NOW - 3 * SECOND,), NOW),  # too old
        ((0,), NOW),  # the driver says nothing
        ((-1e6,), NOW),  # OpenCV's "can't say", in nanoseconds
        ((1.7e18,), NOW),  # seconds since 1970
        ((NOW + SECOND, NOW - 7), NOW - 7),  # the first is wrong, the second can be right
        ((), NOW),
    ],
)
def test_a_time_stamp_is_taken_where_it_can_be_right(stamps: tuple[float, ...], expected: int) -> None:
    assert captured_ns(NOW, *stamps) == expected


def test_time_asleep_is_what_the_two_clocks_differ_by() -> None:
    assert asleep_ns() > -1_000_000
    here = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    assert abs(asleep_ns() / 1e9 - here) < 1


class Clock:
    """Time passes by sleeping, and when the test says so."""

    def __init__(self) -> None:
        self.ns = NOW

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def test_frames_come_at_their_times() -> None:
    clock = Clock()
    pace = Pace(lambda: clock.ns, clock.sleep)
    assert pace.wait(0) == NOW
    assert pace.wait(0.5) == NOW + SECOND // 2 == clock.ns
    clock.ns += SECOND // 4  # the work on a frame takes a while: the next one is waited for less
    assert pace.wait(1.0) == NOW + SECOND == clock.ns


def test_who_is_a_little_late_catches_up_and_the_frame_keeps_its_time() -> None:
    clock = Clock()
    pace = Pace(lambda: clock.ns, clock.sleep)
    pace.wait(0)
    clock.ns += 9 * SECOND // 10
    assert pace.wait(0.1) == NOW + SECOND // 10
    assert clock.ns == NOW + 9 * SECOND // 10
    assert pace.wait(1.0) == NOW + SECOND == clock.ns


def test_who_is_very_late_goes_on_from_there() -> None:
    clock = Clock()
    pace = Pace(lambda: clock.ns, clock.sleep)
    pace.wait(0)
    clock.ns += 60 * SECOND
    assert pace.wait(1.0) == clock.ns == NOW + 60 * SECOND
    assert pace.wait(1.5) == NOW + 60 * SECOND + SECOND // 2
