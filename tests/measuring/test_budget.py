"""Which row meets a budget, and what is said where none does."""

from __future__ import annotations

import pytest

from edgecnn.measuring.budget import check_budget
from edgecnn.recipe.schema import Budget
from tests.verbs.small_bench import row

BUDGET = Budget(p90_ms=8.0, peak_rss_mib=80.0, model_kib=900.0)


def test_one_row_meets_it_all_at_once() -> None:
    slow_small, quick_big = row(p90_us=9100.0), row(p90_us=2000.0, model_bytes=1_000_000, threads=2)
    found = check_budget(BUDGET, [slow_small, quick_big])
    assert found.met_by is None, "each figure is met by some row, and all of them by none"
    good, better = row(p90_us=7900.0, threads=3), row(p90_us=7800.0, threads=4)
    found = check_budget(BUDGET, [slow_small, quick_big, good, better])
    assert found.met_by == "ds_cifar tflite-int8 in litert, 4 threads"
    assert found.failures == ()


def test_the_limit_itself_is_met() -> None:
    at_it = row(p90_us=8000.0, peak_rss_mib=80.0, model_bytes=900 * 1024)
    assert check_budget(BUDGET, [at_it]).met_by is not None


def test_every_figure_that_missed_and_by_how_much() -> None:
    found = check_budget(BUDGET, [row(p90_us=9100.0, peak_rss_mib=100.0, model_bytes=900 * 1024 + 512)])
    assert found.failures == (
        "p90 9.1 ms, 1.1 ms (14 %) over the budget's 8 ms: ds_cifar tflite-int8 in litert, 1 thread",
        "peak memory 100.0 MiB, 20.0 MiB (25 %) over the budget's 80 MiB: ds_cifar tflite-int8 in litert, 1 thread",
        "model size 900.5 KiB, 0.5 KiB (under 1 %) over the budget's 900 KiB: ds_cifar tflite-int8 in litert, 1 thread",
    )


def test_a_hair_over_is_written_as_more_than_nothing() -> None:
    (said,) = check_budget(BUDGET, [row(p90_us=8002.0)]).failures
    assert "8.002 ms, 0.002 ms (under 1 %) over" in said


def test_the_nearest_row_is_named() -> None:
    far, near, two = row(p90_us=12_000.0), row(p90_us=8800.0, threads=2), row(p90_us=8100.0, model_bytes=10**6)
    (said,) = check_budget(BUDGET, [far, two, near]).failures
    assert said.endswith("ds_cifar tflite-int8 in litert, 2 threads")


def test_an_invalid_row_meets_nothing() -> None:
    found = check_budget(BUDGET, [row(valid=False, against=("the device held itself back: throttled",))])
    assert found.met_by is None
    assert "no row is valid" in found.failures[0]
    assert "throttled" in found.failures[0]
    assert check_budget(BUDGET, [row(valid=False), row(p90_us=9000.0)]).failures[0].startswith("p90 9.0 ms")


@pytest.mark.parametrize(("budget", "met"), [(Budget(peak_rss_mib=80.0), False), (Budget(p90_ms=8.0), True)])
def test_what_nobody_knows_is_not_within_a_budget(budget: Budget, met: bool) -> None:
    found = check_budget(budget, [row(peak_rss_mib=None)])
    assert (found.met_by is not None) is met
    assert met or found.failures[0].startswith("peak memory unknown, and the budget has 80 MiB")
