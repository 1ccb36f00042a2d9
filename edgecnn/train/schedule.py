"""Learning-rate schedules: functions of how far training is, with nothing to remember."""

from __future__ import annotations

import math
from collections.abc import Callable

from edgecnn.train.settings import Settings

START, END = 25.0, 1e4
"""One-cycle starts at lr0 / 25 and ends 10,000 times below its start, torch's OneCycleLR's defaults."""


def learning_rate(settings: Settings, position: float) -> float:
    """The rate at `position` epochs."""
    return SCHEDULES[settings.schedule](settings, position)


def cosine(settings: Settings, position: float) -> float:
    """Linear warm-up, then half a cosine to zero (arXiv:1608.03983, without restarts).

    A run that is no longer than its warm-up is all warm-up.
    """
    if position < settings.warmup_epochs:
        return settings.lr0 * position / settings.warmup_epochs
    share = (position - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
    return settings.lr0 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))


def one_cycle(settings: Settings, position: float) -> float:
    """Half a cosine up over the warm-up, half a cosine down to almost nothing (arXiv:1708.07120, as in torch)."""
    low, last = settings.lr0 / START, settings.lr0 / START / END
    if position < settings.warmup_epochs:
        return _between(low, settings.lr0, position / settings.warmup_epochs)
    share = (position - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
    return _between(settings.lr0, last, min(1.0, share))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * share))


SCHEDULES: dict[str, Callable[[Settings, float], float]] = {"cosine": cosine, "one_cycle": one_cycle}
WARMUP_SHARE = {"cosine": 0.1, "one_cycle": 0.3}
"""The warm-up where a recipe leaves it out, as a share of its epochs."""
