"""The loop around inferences: every one is timed, nothing is added, garbage collection rests."""

from __future__ import annotations

import gc
import time
from array import array
from typing import Any

import numpy as np
import pytest

from edgecnn.edge.measure.timing import MOST, time_window, warm_up
from edgecnn.edge.runtimes import Reading

OVERHEAD_US = 5.0


class Session:
    """A session that takes a known time, and remembers what it was given."""

    inputs = outputs = ()

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.runs, self.collecting = seconds, 0, False

    def run(self, *arrays: Any) -> Any:
        self.runs += 1
        self.collecting |= gc.isenabled()
        if self.seconds:
            until = time.perf_counter() + self.seconds
            while time.perf_counter() < until:
                pass

    def arena(self) -> Reading:
        return Reading(0)


class Nothing(Session):
    """The fastest there can be."""

    def run(self, *arrays: Any) -> Any:
        pass


def samples() -> array[int]:
    return array("q", bytes(8 * MOST))


def overhead_us(session: Session) -> float:
    """Wall time per inference of a session that does nothing, the best of some windows: what a busy machine adds is
    not the loop's."""
    held, best = samples(), float("inf")
    for _ in range(20):
        began = time.perf_counter()
        time_window(session, [np.zeros(1)], held, 2000)
        best = min(best, (time.perf_counter() - began) / 2000)
    return 1e6 * best


def test_it_adds_less_than_five_microseconds_an_inference() -> None:
    assert overhead_us(Nothing()) < OVERHEAD_US


def test_the_gate_sees_a_slow_loop() -> None:
    assert overhead_us(Session(OVERHEAD_US * 1e-6)) > OVERHEAD_US


def test_each_inference_is_timed() -> None:
    session, held = Session(1e-3), samples()
    held[5] = -1
    time_window(session, [], held, 5)
    assert session.runs == 5
    assert min(held[:5]) >= 1_000_000
    assert np.median(held[:5]) < 2_000_000
    assert held[5] == -1, "no more than was asked for"


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_rests_and_is_as_it_was(enabled: bool) -> None:
    session = Session()
    (gc.enable if enabled else gc.disable)()
    try:
        time_window(session, [], samples(), 3)
        assert not session.collecting
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_an_inference_that_fails_leaves_garbage_collection_on() -> None:
    with pytest.raises(IndexError):
        time_window(Nothing(), [], array("q"), 1)
    assert gc.isenabled()


def test_warming_up_takes_its_time_and_its_number() -> None:
    session = Session(1e-3)
    began = time.perf_counter()
    fastest = warm_up(session, [], 0.05, 1)
    assert time.perf_counter() - began >= 0.05
    assert 1e6 <= fastest < 3e6
    once = Session()
    warm_up(once, [], 0.0, 7)
    assert once.runs == 7
