"""Whether what would be shipped keeps to a budget: one valid row has to meet all of its figures at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgecnn.measuring.measurement import BudgetCheck, Row, row_name
from edgecnn.recipe.schema import Budget


@dataclass(frozen=True)
class _Miss:
    sentence: str
    excess: float
    """As a share of what is allowed; infinite for a figure that nobody knows."""


def check_budget(budget: Budget, rows: Sequence[Row]) -> BudgetCheck:
    """Hold the rows against the budget; invalid ones count for nothing."""
    missed = sorted(
        ((_misses(budget, row), row) for row in rows if row.valid),
        key=lambda pair: (len(pair[0]), max((miss.excess for miss in pair[0]), default=0.0), pair[1].p90_us),
    )
    met_by: str | None = None
    failures: tuple[str, ...] = ()
    if not missed:
        why = next((f": {reason}" for row in rows for reason in row.against), "")
        failures = (f"no row is valid, and an invalid one meets no budget{why}",)
    elif missed[0][0]:
        failures = tuple(f"{miss.sentence}: {_name(missed[0][1])}" for miss in missed[0][0])
    else:
        met_by = _name(missed[0][1])
    return BudgetCheck(budget.device, budget.p90_ms, budget.peak_rss_mib, budget.model_kib, met_by, failures)


def _misses(budget: Budget, row: Row) -> list[_Miss]:
    figures = (
        ("p90", "ms", row.p90_us / 1000, budget.p90_ms),
        ("peak memory", "MiB", row.peak_rss_mib, budget.peak_rss_mib),
        ("model size", "KiB", row.model_bytes / 1024, budget.model_kib),
    )
    return [
        _miss(figure, unit, value, allowed)
        for figure, unit, value, allowed in figures
        if allowed is not None and (value is None or value > allowed)
    ]


def _miss(figure: str, unit: str, value: float | None, allowed: float) -> _Miss:
    if value is None:
        return _Miss(f"{figure} unknown, and the budget has {allowed:g} {unit}", float("inf"))
    over = value - allowed
    share = f"{100 * over / allowed:.0f} %" if over >= 0.005 * allowed else "under 1 %"
    places = 1 if over >= 0.05 else -math.floor(math.log10(over))  # so many that it is not written as 0
    have, more = (f"{number:,.{places}f} {unit}" for number in (value, over))
    return _Miss(f"{figure} {have}, {more} ({share}) over the budget's {allowed:g} {unit}", over / allowed)


def _name(row: Row) -> str:
    return row_name(row.model, row.target, row.precision, row.runtime, row.threads)
