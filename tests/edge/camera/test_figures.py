"""Rates, ages and medians of answers that came at known times."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from edgecnn.edge.camera import figures
from edgecnn.edge.camera.figures import KEPT, Figures
from edgecnn.edge.camera.live import Result


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until it is set: `now` in seconds."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(figures.time, "monotonic_ns", lambda: int(made.now * 1e9))
    return made


def answer(number: int, age_ms: float) -> Result:
    return Result(number, "cat", 0.9, age_ms, {"decode": 2.0 * age_ms, "model": 1.0})


def test_rates_ages_and_drops_of_the_last_seconds(clock: SimpleNamespace) -> None:
    slot = SimpleNamespace(unique=0)
    found = Figures(slot)  # type: ignore[arg-type]
    assert found.health("opening", "", "", 0).age_p50_ms is None
    ages = []
    for step in range(20 * 30):  # 20 s at 30 frames/s, of which every third is answered
        clock.now += 1 / 30
        slot.unique += 1
        if step % 3 == 0:
            ages.append(float(step % 7))
            found.add(answer(slot.unique, ages[-1]))
        if step % 15 == 0:
            health = found.health("running", "", "fake", 2)
    assert health.frames_per_s == pytest.approx(30, rel=0.05)
    assert health.results_per_s == pytest.approx(10, rel=0.05)
    assert health.dropped == pytest.approx(2 / 3, abs=0.03)
    recent = ages[-50:]
    assert health.age_p50_ms == pytest.approx(np.percentile(recent, 50), abs=1)
    assert health.age_p90_ms == pytest.approx(np.percentile(recent, 90), abs=1)
    assert health.stages_ms == {"decode": pytest.approx(2 * np.median(recent), abs=2), "model": 1.0}
    assert health.restarts == 2
    summary = found.summary(3)
    assert (summary.frames, summary.results, summary.restarts) == (600, 200, 3)
    assert summary.dropped == pytest.approx(2 / 3, abs=0.01)
    assert summary.age_p90_ms == np.percentile(ages, 90)


def test_when_nothing_comes_any_more_the_rates_fall_to_nothing(clock: SimpleNamespace) -> None:
    slot = SimpleNamespace(unique=0)
    found = Figures(slot)  # type: ignore[arg-type]
    for step in range(60):
        clock.now += 1 / 30
        slot.unique += 1
        found.add(answer(step, 5.0))
        found.health("running", "", "", 0)
    for _ in range(20):
        clock.now += 0.5
        health = found.health("stalled", "", "", 0)
    assert health.results_per_s == 0.0
    assert health.frames_per_s == 0.0
    assert health.age_p50_ms is None
    assert health.dropped is None


def test_frames_after_the_last_answer_asked_for_are_nobodys(clock: SimpleNamespace) -> None:
    slot = SimpleNamespace(unique=0)
    found = Figures(slot)  # type: ignore[arg-type]
    for number in range(1, 6):
        clock.now += 0.1
        slot.unique = number
        found.add(answer(number, 5.0))
    assert found.summary(0).dropped == 0.0
    slot.unique, before = 14, clock.now
    assert found.summary(0).dropped == pytest.approx(9 / 14)
    found.end_with(answer(5, 5.0))
    clock.now += 1.0
    ended = found.summary(0)
    assert (ended.frames, ended.results, ended.dropped) == (5, 5, 0.0)
    assert ended.seconds == pytest.approx(before - 1000.1)


def test_what_is_kept_does_not_grow(clock: SimpleNamespace) -> None:
    slot = SimpleNamespace(unique=0)
    found = Figures(slot)  # type: ignore[arg-type]
    for step in range(3 * KEPT):
        clock.now += 0.001
        slot.unique += 1
        found.add(answer(step, 1.0))
    assert len(found._answers.ages()) == KEPT
    assert found.summary(0).results == 3 * KEPT


def test_adding_answers_takes_no_memory(clock: SimpleNamespace) -> None:
    found = Figures(SimpleNamespace(unique=0))  # type: ignore[arg-type]
    found.add(answer(0, 1.0))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for step in range(KEPT):
        clock.now += 0.001
        found.add(answer(step, 1.0))
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept < 4096


def test_a_stage_that_only_some_answers_have_is_their_median(clock: SimpleNamespace) -> None:
    found = Figures(SimpleNamespace(unique=0))  # type: ignore[arg-type]
    for step in range(KEPT + 30):
        clock.now += 1.0
        more = {"heatmap": float(step)} if step % 10 == 0 and step > KEPT else {}
        found.add(Result(step, "cat", 0.9, 1.0, {"model": 2.0, **more}))
    assert found.summary(0).stages_ms == {"model": 2.0, "heatmap": KEPT + 16.0}
    assert found.health("running", "", "", 0).stages_ms == {"model": 2.0, "heatmap": KEPT + 26.0}
    for _ in range(6):
        clock.now += 1.0
        found.add(answer(0, 0.5))
    assert found.health("running", "", "", 0).stages_ms == {"model": 1.0, "decode": 1.0}


def test_rates_are_those_of_what_came_after_the_first_answer(clock: SimpleNamespace) -> None:
    slot = SimpleNamespace(unique=0)
    found = Figures(slot)  # type: ignore[arg-type]
    for number in range(1, 4):
        slot.unique = number
        found.add(answer(number, 5.0))
        if number == 1:
            clock.now += 0.001
            one = found.summary(0)
            assert (one.results, one.results_per_s, one.frames_per_s) == (1, 0.0, 0.0)
            clock.now -= 0.001
        clock.now += 0.5 if number < 3 else 0.0
    summary = found.summary(0)
    assert (summary.results_per_s, summary.frames_per_s) == (pytest.approx(2.0), pytest.approx(2.0))
