"""How the camera is doing, over the last seconds and in all: rates, ages, the time of each stage, what was dropped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecnn.edge.camera.live import Health, Result
from edgecnn.edge.camera.ring import Floats, Ring
from edgecnn.edge.camera.slot import Slot
from edgecnn.edge.measure.sensors import Sensors

SECONDS = 5.0
"""How far views look back."""
KEPT = 1024
"""Answers that are looked back on, at most: more would be memory that grows."""

UNTOLD = {"temperature_c": "this machine does not tell"}
NOT_A_PI = {"throttled": "no Raspberry Pi"}
"""Why a figure is absent."""


@dataclass(frozen=True)
class Summary:
    """A session of the camera, from the first answer on.

    Rates are those of what came after the first: 0 where there was one only. frames: unique ones that came; dropped:
    the share of them that was not answered, in 0..1. Ages and stages, in milliseconds, are medians (and the 90th
    percentile) of the last 1,024 answers; None where there was none.
    """

    frames: int
    results: int
    seconds: float
    frames_per_s: float
    results_per_s: float
    dropped: float
    age_p50_ms: float | None
    age_p90_ms: float | None
    stages_ms: Mapping[str, float]
    restarts: int
    schema: str = "edgecnn.camera/1"


class Figures:
    """Takes in answers; tells how it goes."""

    def __init__(self, slot: Slot) -> None:
        self._slot, self._sensors = slot, Sensors()
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None
        """When the session began and ended, and how many unique frames had come by then."""
        self._results = 0
        self._answers = Ring(KEPT)
        self._counts: deque[tuple[int, int, int]] = deque(maxlen=64)
        """Times, and how many unique frames and answers there had been by then."""

    def add(self, result: Result) -> None:
        """One more answer."""
        now = time.monotonic_ns()
        if self._first is None:
            self._first = now, result.frame - 1
        self._results += 1
        self._answers.add(now, result)

    def end_with(self, result: Result) -> None:
        """The session is over with this answer: frames that still come are nobody's."""
        self._last = time.monotonic_ns(), result.frame

    def health(self, state: str, message: str, source: str, restarts: int) -> Health:
        """Of the last seconds."""
        now = time.monotonic_ns()
        since = now - int(SECONDS * 1e9)
        frames_per_s, results_per_s, dropped = self._rates(now)
        ages = self._answers.ages(since)
        return Health(
            state,
            message,
            source,
            frames_per_s,
            results_per_s,
            dropped,
            percentile(ages, 50),
            percentile(ages, 90),
            self._answers.medians(since),
            temperature_c := self._sensors.temperature_c(),
            throttled := self._sensors.throttled(),
            restarts,
            {**(UNTOLD if temperature_c is None else {}), **(NOT_A_PI if throttled is None else {})},
        )

    def summary(self, restarts: int) -> Summary:
        """In all."""
        ended, frames_by_then = self._last or (time.monotonic_ns(), self._slot.unique)
        began, frames_before = self._first or (ended, frames_by_then)
        seconds, frames = (ended - began) * 1e-9, frames_by_then - frames_before
        ages = self._answers.ages()
        return Summary(
            frames=frames,
            results=self._results,
            seconds=seconds,
            frames_per_s=max(0, frames - 1) / seconds if seconds else 0.0,
            results_per_s=max(0, self._results - 1) / seconds if seconds else 0.0,
            dropped=max(0.0, 1 - self._results / frames) if frames else 0.0,
            age_p50_ms=percentile(ages, 50),
            age_p90_ms=percentile(ages, 90),
            stages_ms=self._answers.medians(),
            restarts=restarts,
        )

    def _rates(self, now_ns: int) -> tuple[float | None, float | None, float | None]:
        """Unique frames and answers a second and the share dropped, since the oldest look within the last seconds."""
        self._counts.append((now_ns, self._slot.unique, self._results))
        while len(self._counts) > 2 and now_ns - self._counts[0][0] > SECONDS * 1e9:
            self._counts.popleft()
        before_ns, frames_before, results_before = self._counts[0]
        seconds = (now_ns - before_ns) * 1e-9
        if seconds <= 0:
            return None, None, None
        frames, results = self._slot.unique - frames_before, self._results - results_before
        return frames / seconds, results / seconds, max(0.0, 1 - results / frames) if frames else None


def percentile(values: Floats, q: float) -> float | None:
    """The q-th percentile, interpolated; None of nothing."""
    return float(np.percentile(values, q)) if len(values) else None
