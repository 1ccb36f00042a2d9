"""Smoothing: what holds for any frames at any pace, and the few cases that people see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgecnn.edge.camera.smoothing import UNSURE, Answer, Smoother
from edgecnn.errors import UsageError

MS = 1_000_000
LABELS = ("cat", "dog", "ship")


def frame(*probabilities: float) -> NDArray[np.float32]:
    return np.array(probabilities, np.float32)


def play(smoother: Smoother, frames: list[NDArray[np.float32]], step_ms: int = 33) -> list[Answer]:
    return [smoother.update(one, number * step_ms * MS) for number, one in enumerate(frames)]


@st.composite
def any_frames(draw: st.DrawFn) -> list[NDArray[np.float32]]:
    count = draw(st.integers(1, 30))
    weights = draw(arrays(np.float32, (count, 3), elements=st.floats(0.015625, 1, width=32)))
    return list(weights / weights.sum(axis=1, keepdims=True))


CAT, DOG = frame(0.9, 0.05, 0.05), frame(0.05, 0.9, 0.05)


@given(any_frames(), st.integers(1, 500))
def test_without_a_half_life_it_is_every_frames_argmax(frames: list[NDArray[np.float32]], step_ms: int) -> None:
    for one, answer in zip(frames, play(Smoother(LABELS, half_life_s=0), frames, step_ms), strict=True):
        assert answer == Answer(LABELS[one.argmax()], float(one.max()), int(one.argmax()))


@given(any_frames(), st.integers(1, 500), st.floats(0, 5), st.floats(0, 0.5))
def test_what_is_shown_was_some_frames_likeliest(
    frames: list[NDArray[np.float32]], step_ms: int, half_life_s: float, margin: float
) -> None:
    voted = set()
    smoother = Smoother(LABELS, half_life_s, margin, unsure_below=0.4)
    for one, answer in zip(frames, play(smoother, frames, step_ms), strict=True):
        voted.add(int(one.argmax()))
        assert answer.index in voted
        assert answer.label in (UNSURE, LABELS[answer.index])


def test_the_second_of_all_frames_does_not_win() -> None:
    frames = [frame(0.5, 0.05, 0.45), frame(0.05, 0.5, 0.45)] * 40
    assert {answer.label for answer in play(Smoother(LABELS, margin=0.0), frames)} <= {"cat", "dog"}


@given(any_frames(), arrays(np.float32, 3, elements=st.floats(0.015625, 1, width=32)), st.integers(5, 500))
def test_it_converges_to_what_stays(
    before: list[NDArray[np.float32]], weights: NDArray[np.float32], step_ms: int
) -> None:
    stays = weights / weights.sum()
    count = 20 * 500 // step_ms + 2  # twenty half-lives
    smoother = Smoother(LABELS, half_life_s=0.5, margin=0.1, unsure_below=0.3)
    last = play(smoother, [*before, *[stays] * count], step_ms)[-1]
    assert last.probability == pytest.approx(stays[last.index], abs=1e-4)
    assert stays.max() - stays[last.index] <= 0.1 + 1e-4, "no other is ahead by more than the margin"
    assert (last.label == UNSURE) <= (stays[last.index] < 0.3 + 1e-4)


@given(st.integers(5, 120), st.floats(0.5, 0.95), st.sampled_from([None, 0.3]))
def test_what_alternates_does_not_flicker(step_ms: int, high: float, unsure_below: float | None) -> None:
    frames = [frame(high, 1 - high, 0), frame(1 - high, high, 0)] * 60
    shown = [answer.label for answer in play(Smoother(LABELS, 0.5, 0.1, unsure_below), frames, step_ms)]
    assert len(set(shown[8:])) == 1


@pytest.mark.parametrize("step_ms", [10, 50, 125])
def test_a_change_takes_the_same_time_at_any_frame_rate(step_ms: int) -> None:
    """From 0.9 : 0.05 the other is ahead by 0.1 where 0.85 (1 - 2 x 0.5^(t/h)) > 0.1: after 1.18 half-lives."""
    count = 1000 // step_ms
    answers = play(Smoother(LABELS, half_life_s=0.5), [CAT] * count + [DOG] * 2 * count, step_ms)
    changed = next(number for number, answer in enumerate(answers) if answer.label == "dog")
    took_ms = (changed - (count - 1)) * step_ms
    assert 590 - step_ms <= took_ms <= 590 + step_ms


def test_a_small_lead_changes_nothing() -> None:
    frames = [frame(0.5, 0.45, 0.05)] * 5 + [frame(0.45, 0.5, 0.05)] * 200
    assert {answer.label for answer in play(Smoother(LABELS), frames)} == {"cat"}


def test_below_the_threshold_a_small_lead_is_enough() -> None:
    frames = [frame(0.5, 0.45, 0.05)] * 5 + [frame(0.42, 0.5, 0.08)] * 200
    assert play(Smoother(LABELS, unsure_below=0.45), frames)[-1].label == "dog"


def test_unsure_is_left_after_a_half_life() -> None:
    smoother = Smoother(LABELS, half_life_s=0.5, unsure_below=0.6)
    doubtful = frame(0.4, 0.3, 0.3)
    answers = play(smoother, [doubtful] * 50 + [CAT] * 300, 10)
    assert {answer.label for answer in answers[:50]} == {UNSURE}
    sure = [number for number, answer in enumerate(answers) if answer.probability >= 0.6]
    first = next(number for number, answer in enumerate(answers) if answer.label == "cat")
    assert first == sure[0] - 1 + 50
    assert {answer.label for answer in answers[first:]} == {"cat"}


def test_a_doubtful_frame_is_unsure_without_a_half_life_too() -> None:
    answers = play(Smoother(LABELS, half_life_s=0, unsure_below=0.6), [frame(0.4, 0.3, 0.3), CAT, DOG])
    assert [answer.label for answer in answers] == [UNSURE, "cat", "dog"]


@pytest.mark.parametrize(("gap_ms", "label"), [(1_900, "dog"), (2_100, "dog"), (100, "cat")])
def test_a_gap(gap_ms: int, label: str) -> None:
    smoother = Smoother(LABELS)
    smoother.update(CAT, 0)
    answer = smoother.update(DOG, gap_ms * MS)
    assert answer.label == label
    forgotten = gap_ms > 2_000
    assert (answer.probability == float(DOG[1])) == forgotten


def test_another_source_begins_anew() -> None:
    smoother = Smoother(LABELS)
    smoother.update(CAT, 0)
    smoother.reset()
    assert smoother.update(DOG, 1) == Answer("dog", float(DOG[1]), 1)


@pytest.mark.parametrize("arguments", [(-1,), (float("nan"),), (0.5, 1.5), (0.5, 0.1, -0.1), (0.5, 0.1, 2)])
def test_figures_that_make_no_sense_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        Smoother(LABELS, *arguments)
