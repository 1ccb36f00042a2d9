"""From every frame's probabilities to a label that one can read: steady, no later than need be, and honest when unsure.

A classifier that is 51 % sure of this and 49 % of that names another one with every frame's noise. So probabilities are
averaged over time, and a label stays until another is clearly ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import UsageError

UNSURE = "unsure"
RESET_AFTER_S = 2.0
"""What was seen longer ago says nothing about what is seen now."""
VOTE_HALF_LIVES = 8.0
"""How long a frame's likeliest label may become the shown one: afterwards 0.4 % of the average is left of it."""


@dataclass(frozen=True)
class Answer:
    """The label to show and its averaged probability, in 0..1.

    index: which of the labels it is; where `label` is `unsure`, the one that it would be.
    """

    label: str
    probability: float
    index: int


class Smoother:
    """Averages probabilities exponentially in time: a frame counts half as much after `half_life_s`, at any frame rate.

    The shown label changes where another's average is above its own by more than `margin`, and at once where its own
    falls below `unsure_below`. Only what was some recent frame's likeliest can be shown: two labels that take turns do
    not make a third one, second in all frames, the winner. Below `unsure_below` the answer is `unsure`, and remains so
    until the average was above for a half-life. A half-life of 0 turns averaging and margin off: the label is the
    frame's likeliest, the lowest index where several are.

    Source of the average at uneven times: Eckner, Algorithms for Unevenly Spaced Time Series (2012), EMA of the last
    value (here the newest one, which holds since the frame before).
    """

    def __init__(
        self,
        labels: Sequence[str],
        half_life_s: float = 0.5,
        margin: float = 0.1,
        unsure_below: float | None = None,
    ) -> None:
        """UsageError for a half-life below 0, or a margin or threshold outside 0..1."""
        if not 0 <= half_life_s < float("inf"):
            raise UsageError(f"a half-life of {half_life_s} s makes no sense; give 0 (off) or more")
        if not 0 <= margin <= 1 or not 0 <= (unsure_below or 0) <= 1:
            raise UsageError(
                f"a margin of {margin} or unsure below {unsure_below} makes no sense; both are from 0 to 1"
            )
        self._labels = tuple(labels)
        self._half_life_ns, self._margin = half_life_s * 1e9, margin
        self._unsure_below = 0.0 if unsure_below is None else unsure_below
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: another source begins."""
        self._average: NDArray[Any] | None = None
        self._voted_ns: dict[int, int] = {}
        self._last_ns, self._shown = 0, 0
        self._doubted_ns: int | None = None

    def update(self, probabilities: NDArray[np.float32], now_ns: int) -> Answer:
        """The answer after one more frame: its probabilities, float32 [K], and its time; times do not go back."""
        likeliest = int(probabilities.argmax())
        if self._average is not None and now_ns - self._last_ns > RESET_AFTER_S * 1e9:
            self.reset()
        if self._half_life_ns == 0 or self._average is None:
            self._average, self._shown = probabilities.astype(np.float64), likeliest
        else:
            kept = 0.5 ** (max(0, now_ns - self._last_ns) / self._half_life_ns)
            self._average = kept * self._average + (1.0 - kept) * probabilities
        self._last_ns = max(now_ns, self._last_ns)
        self._voted_ns[likeliest] = self._last_ns
        self._choose(self._average)
        return self._answer(float(self._average[self._shown]))

    def _choose(self, average: NDArray[Any]) -> None:
        """Move on to another label where it is clearly ahead, or where the shown one can't be believed any more."""
        since = self._last_ns - VOTE_HALF_LIVES * self._half_life_ns
        self._voted_ns = {index: at for index, at in self._voted_ns.items() if at >= since}
        best = max(self._voted_ns, key=lambda index: (average[index], -index))
        ahead = average[best] - average[self._shown]
        if ahead > self._margin or (average[self._shown] < self._unsure_below and ahead > 0):
            self._shown = best

    def _answer(self, probability: float) -> Answer:
        if probability < self._unsure_below:
            self._doubted_ns = self._last_ns
        doubted = self._doubted_ns is not None and (self._last_ns - self._doubted_ns < self._half_life_ns)
        unsure = probability < self._unsure_below or doubted
        return Answer(UNSURE if unsure else self._labels[self._shown], probability, self._shown)
