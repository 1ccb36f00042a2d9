"""The ages and stages of the last answers, in memory that is taken once: a camera runs for months."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge.camera.live import Result

Floats = NDArray[np.float64]


class Ring:
    """The last `size` answers: when they came, their ages and stages in milliseconds."""

    def __init__(self, size: int) -> None:
        self._count = 0
        self._came_ns = np.full(size, np.iinfo(np.int64).min)
        self._ages_ms = np.full(size, np.nan)
        self._stages_ms: dict[str, Floats] = {}

    def add(self, came_ns: int, result: Result) -> None:
        """One more answer, in place of the oldest."""
        place = self._count % len(self._ages_ms)
        self._count += 1
        self._came_ns[place], self._ages_ms[place] = came_ns, result.age_ms
        for name in result.stages_ms:
            if name not in self._stages_ms:
                self._stages_ms[name] = np.full(len(self._ages_ms), np.nan)
        for name, values in self._stages_ms.items():
            values[place] = result.stages_ms.get(name, np.nan)

    def ages(self, since_ns: int | None = None) -> Floats:
        """In milliseconds, of all or of those that came since then; in no order."""
        return _known(self._ages_ms[self._chosen(since_ns)])

    def medians(self, since_ns: int | None = None) -> dict[str, float]:
        """The median of each stage in milliseconds, of the same; without stages that none of them had."""
        chosen = self._chosen(since_ns)
        stages = {name: _known(values[chosen]) for name, values in self._stages_ms.items()}
        return {name: float(np.median(values)) for name, values in stages.items() if len(values)}

    def _chosen(self, since_ns: int | None) -> slice | NDArray[np.bool_]:
        return slice(None) if since_ns is None else self._came_ns >= since_ns


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]
