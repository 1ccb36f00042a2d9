"""When to start a thing anew that keeps failing: soon at first, then with growing pauses."""

from __future__ import annotations

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
HEALTHY_S = 10.0
"""After so long without a failure the pauses begin anew."""


class Revival:
    """Counts failures, on a clock that the caller reads."""

    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self.restarts = 0
        """In all."""
        self.due_s: float | None = None
        """When to start again; None while there is nothing to start."""

    def failed(self, now_s: float) -> float:
        """It failed; returns the pause in seconds."""
        pause = PAUSES_S[min(self.failures, len(PAUSES_S) - 1)]
        self.failures += 1
        self.due_s = now_s + pause
        return pause

    def is_due(self, now_s: float) -> bool:
        """Whether it is time; from then on it counts as started."""
        if self.due_s is None or now_s < self.due_s:
            return False
        self.due_s = None
        self.restarts += 1
        return True

    def worked(self, since_s: float, now_s: float) -> None:
        """It has been doing well since then."""
        if now_s - since_s >= HEALTHY_S:
            self.failures = 0
