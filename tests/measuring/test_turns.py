"""Who measures when, and for how long: with workers that take a known time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.edge.measure.load import Load
from edgecnn.edge.measure.process import Engine, Open, Opened, Turn
from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.runtimes import Reading, find_runtime
from edgecnn.errors import DeviceError, UnusableFile
from edgecnn.measuring import turns
from edgecnn.measuring.measurement import Protocol, Window
from edgecnn.measuring.monitor import Limits, Site
from edgecnn.measuring.place import HERE, Place
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.turns import Entry, Measured, measure, patience_s
from edgecnn.metrics import Array
from tests.verbs.small_bench import MACHINE

LOAD = Load(0.2, 0.2, 0.0, 0.0, 0.0, 0)
PROTOCOL = Protocol(1.0)
LIMITS = Limits(throttles_at_c=80.0, clock_mhz=1500.0)


class FakeWorker:
    """Answers at once, with the latencies that its file's name says; keeps who was asked, in `log`."""

    log: list[str]
    alive: set[str]
    most_alive: int

    def __init__(self, path: Path, place: Place) -> None:
        self.name = path.name
        FakeWorker.alive.add(self.name)
        FakeWorker.most_alive = max(FakeWorker.most_alive, len(FakeWorker.alive))
        self.windows = 0

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *given: object) -> None:
        self.close()

    def close(self) -> None:
        FakeWorker.alive.discard(self.name)

    def load_engine(self, runtime: str) -> Engine:
        return Engine({}, MACHINE, 30.0)

    def open(self, wanted: Open, seconds: float) -> Opened:
        if self.name == "broken":
            raise UnusableFile("broken")
        return Opened(1.0, 200.0, 100.0 if self.name != "slow" else 2e6, Reading(1))

    def window(self, count: int, seconds: float) -> tuple[Turn, Array]:
        FakeWorker.log.append(self.name)
        self.windows += 1
        if self.name == "dies later" and self.windows == 3:
            raise UnusableFile("dies later")
        factor = 1 + 0.3 * (self.windows % 2) if self.name == "restless" else 1.0
        others_s = 0.2 if self.name == "disturbed" or (self.name == "once disturbed" and self.windows == 2) else 0.0
        return Turn(dataclasses.replace(LOAD, others_s=others_s), 35.0), np.full(count, 100_000 * factor, np.int64)


WELL = Readings(50.0, 1500.0, 0, None, "performance", 7, {"power_w": "not asked"})


class Told:
    """A device that says what it is told to, one reading after the other, and `WELL` from then on."""

    def __init__(self, *readings: Readings, then: Readings = WELL) -> None:
        self.left, self.then = [*readings], then

    def read(self) -> Readings:
        return self.left.pop(0) if self.left else self.then


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeWorker.log, FakeWorker.alive, FakeWorker.most_alive = [], set(), 0
    monkeypatch.setattr(turns, "Worker", FakeWorker)
    clock = iter(range(10**6))
    monkeypatch.setattr(turns.time, "monotonic", lambda: 0.05 * next(clock))  # a window takes 0.05 s of it
    monkeypatch.setattr(turns.time, "sleep", lambda seconds: [next(clock) for _ in range(round(seconds / 0.05))])


def entry(name: str, size: int = 1000) -> Entry:
    return Entry(Subject(name, "null", None, Path(name), {}, size), find_runtime("null"), 1)


def run(*names: str, watch: Told | None = None, limits: Limits = LIMITS) -> list[Measured]:
    entries = [entry(name) for name in names]
    return measure(entries, PROTOCOL, None, Site(HERE, watch or Told(), limits), lambda text: None)


def test_a_window_each_forwards_and_backwards() -> None:
    run("a", "b", "c")
    assert FakeWorker.log == ["a", "b", "c", "c", "b", "a"] * (PROTOCOL.windows_least // 2)


def test_all_go_on_until_the_last_is_steady_or_out_of_time() -> None:
    quiet, restless = run("quiet", "restless")
    assert quiet.steady(PROTOCOL)
    assert not restless.steady(PROTOCOL)
    assert restless.over(PROTOCOL)
    assert len(restless.windows) == pytest.approx(PROTOCOL.seconds / 0.05, abs=2)
    assert abs(len(quiet.windows) - len(restless.windows)) <= 1


def test_what_fails_leaves_the_others_alone() -> None:
    broken, dying, good = run("broken", "dies later", "good")
    assert [str(found.failed) for found in (broken, dying)] == ["broken", "dies later"]
    assert "broken" not in FakeWorker.log
    assert FakeWorker.log.count("dies later") == 3
    assert good.failed is None
    assert len(good.windows) == PROTOCOL.windows_least
    assert not FakeWorker.alive


def test_not_too_many_are_open_at_once() -> None:
    names = [str(number) for number in range(2 * PROTOCOL.together + 1)]
    assert [found.entry.subject.name for found in run(*names)] == names
    assert FakeWorker.most_alive == PROTOCOL.together


def test_slow_models_have_shorter_windows() -> None:
    (slow,) = run("slow")
    assert {window.n for window in slow.windows} == {PROTOCOL.window_least}
    (quick,) = run("quick")
    assert {window.n for window in quick.windows} == {2000}


@pytest.mark.parametrize(
    ("p50s", "p90s", "steady"),
    [
        ([100.0] * 8, [120.0] * 8, True),
        ([100.0] * 7, [120.0] * 7, False),  # too few
        ([150.0] * 5 + [100.0, 101.0, 102.0], [120.0] * 8, True),  # only the last ones count
        ([100.0] * 7 + [103.0], [120.0] * 8, False),
        ([100.0] * 8, [120.0] * 7 + [130.0], False),
    ],
)
def test_steady(p50s: list[float], p90s: list[float], steady: bool) -> None:
    found = Measured(entry("x"), windows=[Window(10, *pair) for pair in zip(p50s, p90s, strict=True)])
    assert found.steady(PROTOCOL) is steady


def test_patience_grows_with_the_file_and_with_the_time_given() -> None:
    assert patience_s(entry("x"), Protocol(5.0)) == 5, "nothing hangs for 10 s"
    assert patience_s(entry("x", 100 * 2**20), PROTOCOL) == pytest.approx(104)
    assert patience_s(entry("x"), Protocol(60.0)) == 60


# --- spoilt windows --------------------------------------------------------------------------------------------------


def but(**changed: Any) -> Readings:
    return dataclasses.replace(WELL, **changed)


HOT, THROTTLED = but(temperature_c=85.0), but(temperature_c=83.0, clock_mhz=1000.0, throttled=0x4)


def test_a_spoilt_window_is_kept_apart_and_taken_again() -> None:
    (found,) = run("a", watch=Told(WELL, WELL, WELL, THROTTLED, but(temperature_c=75.0), but(temperature_c=69.0)))
    assert len(found.windows) == len(found.samples) == len(found.loads) == len(found.readings) == PROTOCOL.windows_least
    (spoilt,) = found.spoilt
    assert spoilt.verdict.device == ("the device held itself back: throttled", *HEAT, SLOW)
    assert FakeWorker.log.count("a") == PROTOCOL.windows_least + 1
    assert 2 <= found.cooled_s < 3, "until it was 10 degrees below its limit"
    assert not found.gave_up
    assert found.before == WELL


HEAT = ("it was 83.0 C hot, and throttles from 80 C on",)
SLOW = "the clock was 1000 MHz instead of 1500"


def test_a_device_that_stays_hot_makes_rows_give_up_and_is_waited_for_once() -> None:
    first, second = run("a", "b", watch=Told(then=HOT))
    for found in (first, second):
        assert found.gave_up
        assert found.windows == []
        assert len(found.spoilt) == PROTOCOL.spoilt_in_a_row
    assert PROTOCOL.cooling_s <= first.cooled_s < PROTOCOL.cooling_s + 3
    assert second.cooled_s == 0


def test_powersave_is_not_waited_for() -> None:
    (found,) = run("a", watch=Told(then=but(governor="powersave", temperature_c=75.0)))
    assert (found.gave_up, found.cooled_s) == (True, 0)
    assert "cpufreq/scaling_governor` changes it" in found.spoilt[0].verdict.device[0]


def test_a_low_clock_without_heat_is_not_waited_for_either() -> None:
    (found,) = run("a", watch=Told(then=but(clock_mhz=600.0)))
    assert found.gave_up
    assert found.cooled_s < 1


def test_a_row_that_has_enough_keeps_it() -> None:
    watch = Told(*[WELL] * (PROTOCOL.windows_least + 3), then=HOT)
    quiet, restless = run("quiet", "restless", watch=watch)
    assert quiet.windows
    assert restless.gave_up
    assert restless.readings == [WELL] * len(restless.windows)


def test_what_a_busy_machine_spoils_is_taken_again_within_the_rows_time() -> None:
    once, always = run("once disturbed", "disturbed")
    assert len(once.windows) >= PROTOCOL.windows_least
    assert [window.verdict.device for window in once.spoilt] == [()]
    assert "other processes took" in once.spoilt[0].verdict.busy[0]
    assert always.windows == []
    assert not always.gave_up
    assert always.over(PROTOCOL)
    assert len(always.spoilt) == pytest.approx(max(PROTOCOL.windows_tried, PROTOCOL.seconds / 0.05), abs=2)
    assert (once.cooled_s, always.cooled_s) == (0, 0)


def test_pages_swapped_meanwhile_spoil_a_window() -> None:
    (found,) = run("a", watch=Told(WELL, WELL, but(swapped_pages=9), then=but(swapped_pages=9)))
    assert [window.verdict.busy for window in found.spoilt] == [("2 pages were swapped meanwhile; memory is short",)]


def test_a_device_that_is_gone_ends_it() -> None:
    class Gone(Told):
        def read(self) -> Readings:
            if not self.left:
                raise DeviceError("it is gone")
            return super().read()

    with pytest.raises(DeviceError, match="it is gone"):
        run("a", watch=Gone(WELL, WELL, WELL))
