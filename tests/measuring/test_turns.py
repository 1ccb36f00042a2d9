"""Who measures when, and for how long: with workers that take a known time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.measure.load import Load
from edgecnn.edge.measure.process import Engine, Open, Opened, Turn
from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.runtimes import Reading, find_runtime
from edgecnn.errors import UnusableFile
from edgecnn.measuring import turns
from edgecnn.measuring.measurement import Protocol, Window
from edgecnn.measuring.monitor import Limits
from edgecnn.measuring.place import Place
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.turns import Entry, Measured, measure, patience_s
from edgecnn.metrics import Array
from tests.verbs.small_bench import MACHINE

LOAD = Load(0.2, 0.2, 0.0, 0.0, 0.0, 0)
PROTOCOL = Protocol(1.0)


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
        return Turn(LOAD, 35.0), np.full(count, 100_000 * factor, np.int64)


class Healthy:
    """A device that nothing is wrong with."""

    def read(self) -> Readings:
        return Readings(50.0, 1500.0, 0, None, "performance", 7, {"power_w": "not asked"})


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeWorker.log, FakeWorker.alive, FakeWorker.most_alive = [], set(), 0
    monkeypatch.setattr(turns, "Worker", FakeWorker)
    clock = iter(range(10**6))
    monkeypatch.setattr(turns.time, "monotonic", lambda: 0.05 * next(clock))  # a window takes 0.05 s of it


def entry(name: str, size: int = 1000) -> Entry:
    return Entry(Subject(name, "null", None, Path(name), {}, size), find_runtime("null"), 1)


def run(*names: str) -> list[Measured]:
    return measure([entry(name) for name in names], PROTOCOL, None, lambda text: None, watch=Healthy(), limits=Limits())


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
