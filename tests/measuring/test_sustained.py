"""Curves over minutes: with a worker that slows down as a device does, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.measure.process import Engine, Open, Opened, Turn
from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.runtimes import Reading, find_runtime
from edgecnn.errors import UnusableFile
from edgecnn.measuring import sustained
from edgecnn.measuring.measurement import Bucket, Protocol, Sustained
from edgecnn.measuring.monitor import Limits, Site
from edgecnn.measuring.place import HERE, Place
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.sustained import BUCKET_S, finding, slowed, sustain
from edgecnn.measuring.turns import Entry
from edgecnn.metrics import Array
from tests.measuring.test_turns import LOAD
from tests.verbs.small_bench import MACHINE

PROTOCOL = Protocol(5.0)


class Clock:
    now = 0.0


class SlowingWorker:
    """A window takes its time on the clock; from the third minute on an inference takes twice as long."""

    def __init__(self, path: Path, place: Place) -> None:
        self.path = path

    def __enter__(self) -> SlowingWorker:
        return self

    def __exit__(self, *given: object) -> None: ...

    def load_engine(self, runtime: str) -> Engine:
        return Engine({}, MACHINE, 30.0)

    def open(self, wanted: Open, seconds: float) -> Opened:
        if self.path.name == "broken":
            raise UnusableFile("broken")
        return Opened(1.0, 2000.0, 1000.0, Reading(1))

    def window(self, count: int, seconds: float) -> tuple[Turn, Array]:
        each_us = 1000 if Clock.now < 120 else 2000
        Clock.now += count * each_us / 1e6
        return Turn(LOAD, 35.0), np.full(count, each_us * 1000, np.int64)


class Heating:
    def read(self) -> Readings:
        hot = Clock.now >= 120
        return Readings(82.0 if hot else 60.0, 750.0 if hot else 1500.0, 4 if hot else 0, None, None, None, {})


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock.now = 0.0
    monkeypatch.setattr(sustained, "Worker", SlowingWorker)
    monkeypatch.setattr(sustained.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(sustained.time, "sleep", lambda seconds: setattr(Clock, "now", Clock.now + seconds))


def run(*names: str, minutes: float = 4.0) -> tuple[list[Sustained], list[str]]:
    said: list[str] = []
    entries = [Entry(Subject(name, "null", None, Path(name), {}, 100), find_runtime("null"), 1) for name in names]
    site = Site(HERE, Heating(), Limits(throttles_at_c=80.0))
    return list(sustain(entries, PROTOCOL, None, minutes, site, said.append)), said


def test_the_curve_of_a_device_that_gets_hot() -> None:
    (curve,), _ = run("a")
    assert 40 <= len(curve.buckets) <= 4 * 60 / BUCKET_S, "a bucket ends with a piece, which takes a second or two"
    assert [bucket.at_s for bucket in curve.buckets] == sorted(bucket.at_s for bucket in curve.buckets)
    first, last = curve.buckets[0], curve.buckets[-1]
    assert (first.p50_us, first.temperature_c, first.clock_mhz, first.throttled) == (1000.0, 60.0, 1500.0, 0)
    assert (last.p50_us, last.temperature_c, last.clock_mhz, last.throttled) == (2000.0, 82.0, 750.0, 4)
    assert first.n == 5000
    assert slowed(curve) == 2.0
    said = "slows by 100 % in 4 min, 82.0 C at most, 750 MHz in the end, held back by the device in 21 of 44 readings"
    assert finding(curve) == said


def test_between_two_it_cools_down_but_not_forever() -> None:
    curves, said = run("a", "b")
    assert [curve.model for curve in curves] == ["a", "b"]
    assert sum("waiting for the device to cool down, up to 120 s" in line for line in said) == 1
    assert Clock.now == pytest.approx(2 * 240 + 120, abs=10)


def test_what_fails_leaves_the_others_alone() -> None:
    curves, said = run("broken", "b", minutes=1)
    assert [curve.model for curve in curves] == ["b"]
    assert any(line.startswith("no curve of broken null") for line in said)


def curve(p50s: Sequence[float], each_s: float = 5.0) -> Sustained:
    buckets = [Bucket(each_s * (i + 1), 10, p50, p50, None, None, None) for i, p50 in enumerate(p50s)]
    return Sustained("x", "null", "null", None, 1, len(p50s) * each_s / 60, tuple(buckets))


@pytest.mark.parametrize(
    ("p50s", "said"),
    [
        ([100.0] * 36, "stays as fast in 3 min"),
        ([100.0] * 12 + [150.0] * 12 + [112.0] * 12, "slows by 12 % in 3 min"),  # the minute between does not count
        ([100.0] * 6 + [90.0] * 6, "gets 10 % faster in 1 min"),  # its two halves
        ([100.0, 200.0], "slows by 100 % in 0.166667 min"),
        ([100.0], "stays as fast in 0.0833333 min"),
    ],
)
def test_the_first_minute_against_the_last(p50s: list[float], said: str) -> None:
    assert finding(curve(p50s)) == said
