"""Figures against worked examples, scipy, and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from edgecnn.metrics import (
    agreement,
    confusion,
    drop_interval,
    ece,
    mcnemar,
    median_interval,
    nll,
    softmax,
    steps,
    ties,
    top1,
    topk,
)

Array = NDArray[Any]


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[Array, Array]:
    """Paired right/wrong answers with these counts."""
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a, b


LOGITS = np.array([[1, 5, 5, 0], [7, 2, 3, 7], [0, 0, 0, 0], [1, 2, 3, 4]], np.uint8)


def test_the_lowest_index_wins_a_tie() -> None:
    assert top1(LOGITS, np.array([1, 0, 0, 3])) == 1.0
    assert top1(LOGITS, np.array([2, 3, 1, 3])) == 0.25
    assert topk(LOGITS, np.array([2, 3, 1, 2]), 2) == 1.0
    assert topk(LOGITS, np.array([2, 3, 2, 2]), 2) == 0.75, "of four equal ones 0 and 1 come first"
    assert ties(LOGITS) == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32])
def test_top_k_of_one_is_top_1(dtype: Any) -> None:
    """Unsigned ones too: their negative would wrap."""
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 6, (500, 10)).astype(dtype)
    classes = rng.integers(0, 10, 500)
    assert topk(logits, classes, 1) == top1(logits, classes)
    assert topk(logits, classes, 10) == 1.0


def test_a_wrong_tie_rule_would_be_seen() -> None:
    """The fault planted: the highest index wins."""
    last = LOGITS.shape[1] - 1 - LOGITS[:, ::-1].argmax(axis=1)
    assert (last == np.array([1, 0, 0, 3])).mean() != top1(LOGITS, np.array([1, 0, 0, 3]))


def test_confusion_counts_rows_as_truth() -> None:
    table = confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 3)
    assert table.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_agreement_and_steps() -> None:
    other = LOGITS.copy()
    other[3] = [9, 0, 0, 0]
    assert agreement(LOGITS, other) == 0.75
    assert steps(np.array([0, 255, 3], np.uint8), np.array([255, 0, 5], np.uint8)).tolist() == [255, 255, 2]
    assert steps(np.array([-128], np.int8), np.array([127], np.int8)).tolist() == [255]


def test_softmax_is_scipy_s_and_does_not_overflow() -> None:
    logits = np.random.default_rng(0).normal(0, 300, (20, 7))
    np.testing.assert_allclose(softmax(logits), special.softmax(logits, axis=1), rtol=1e-12)
    assert softmax(np.array([1000.0, 0.0])).tolist() == [1.0, 0.0]


def test_nll_is_scipy_s_and_does_not_overflow() -> None:
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(0, 30, (50, 7)), rng.integers(0, 7, 50)
    expected = -special.log_softmax(logits, axis=1)[np.arange(50), classes].mean()
    assert nll(logits, classes) == pytest.approx(expected, rel=1e-12)
    assert nll(np.array([[1000.0, 0.0]]), np.array([1])) == pytest.approx(1000.0)
    assert nll(np.array([[200, 100]], np.uint8), np.array([1])) == pytest.approx(100.0)


def test_ece_by_hand() -> None:
    """Two bins: 0.9 twice, once right, and 0.6 twice, both right; a bin is as heavy as its pictures are many."""
    sure = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.4, 0.6], [0.6, 0.4], [1.0, 0.0]])
    classes = np.array([0, 0, 0, 1, 0, 0])
    expected = 2 / 6 * abs(0.5 - 0.9) + 3 / 6 * abs(1.0 - 0.6) + 1 / 6 * 0.0
    assert ece(sure, classes) == pytest.approx(expected)
    assert ece(sure, classes, bins=1) == pytest.approx(abs(5 / 6 - sure.max(axis=1).mean()))


def test_ece_of_honest_probabilities_is_near_nothing() -> None:
    rng = np.random.default_rng(0)
    honest = softmax(rng.normal(0, 2, (20_000, 5)))
    classes = (honest.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert ece(honest, classes) < 0.015
    assert ece(softmax(3 * np.log(honest)), classes) > 0.1, "overconfidence is seen"


# --- McNemar ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (0, 5), (3, 3), (10, 25), (25, 10), (59, 41), (600, 500), (4000, 4100)]
)
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    found = mcnemar(*answers(50, only_a, only_b, 20))
    expected = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    assert found == pytest.approx(expected, rel=1e-8)


def test_mcnemar_worked_by_hand() -> None:
    """1 against 7: 2 * (1 + 8) / 2^8."""
    assert mcnemar(*answers(9, 1, 7, 9)) == pytest.approx(18 / 256, rel=1e-12)


def test_mcnemar_looks_only_at_pairs_that_differ() -> None:
    assert mcnemar(*answers(0, 3, 9, 0)) == mcnemar(*answers(5000, 3, 9, 4000))


def test_an_unpaired_test_would_be_seen() -> None:
    """The fault planted: Fisher's test on the two totals, which forgets the pairs, is far from it."""
    a, b = answers(900, 1, 12, 87)
    table = [[a.sum(), (~a).sum()], [b.sum(), (~b).sum()]]
    assert stats.fisher_exact(table).pvalue > 0.3
    assert mcnemar(a, b) < 0.01


# --- the drop's interval ----------------------------------------------------------------------------------------------


def test_the_interval_by_hand() -> None:
    """Agresti and Min: (b - c) / (n + 2) about which z * sqrt((b + c + 1) - (b - c)^2 / (n + 2)) / (n + 2)."""
    low, high = drop_interval(*answers(70, 12, 5, 13))
    centre, half = 7 / 102, 1.959963984540054 * np.sqrt(18 - 49 / 102) / 102
    assert (low, high) == pytest.approx((centre - half, centre + half), rel=1e-12)


def coverage(interval: Any, share_a: float, share_b: float, pairs: int = 400, draws: int = 4000) -> float:
    """How often an interval holds the true difference, over simulated pairs of answers."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(draws):
        u = rng.random(pairs)
        a, b = answers(*np.bincount(np.searchsorted([share_a, share_a + share_b, 0.9], u), minlength=4)[[2, 0, 1, 3]])
        low, high = interval(a, b)
        held += low <= share_a - share_b <= high
    return held / draws


@pytest.mark.parametrize(("share_a", "share_b"), [(0.02, 0.02), (0.05, 0.02), (0.004, 0.002), (0.2, 0.1)])
def test_the_interval_holds_the_truth_as_often_as_it_says(share_a: float, share_b: float) -> None:
    """95 %, less at most a point; where hardly any pair differs it is wide rather than narrow."""
    found = coverage(drop_interval, share_a, share_b)
    assert found >= 0.94
    assert found <= 0.99 or share_a + share_b < 0.02


def test_a_narrow_interval_would_be_seen() -> None:
    """The fault planted: z of a 90 % interval."""
    assert coverage(lambda a, b: drop_interval(a, b, z=1.6448536269514722), 0.05, 0.02) < 0.94


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975])
@pytest.mark.parametrize("n", [1, 4, 5, 6, 7, 10, 25, 60])
def test_the_median_s_interval_is_the_narrowest_that_the_sign_test_allows(n: int, confidence: float) -> None:
    values = [float(value) for value in np.random.default_rng(n).permutation(n)]  # value i has i below it
    found = median_interval(values, confidence)

    def chance(rank: int) -> float:
        """That the median lies between the rank-th values from both ends (1: the outermost)."""
        return float(1 - 2 * stats.binom.cdf(rank - 1, n, 0.5))

    allowed = [rank for rank in range(1, n // 2 + 1) if chance(rank) >= confidence]
    assert found == ((float(allowed[-1] - 1), float(n - allowed[-1])) if allowed else None)


def test_the_median_s_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Whatever the distribution: here a skewed one."""
    rng = np.random.default_rng(0)
    truth = np.log(2.0)
    found = [median_interval(list(rng.exponential(size=15)), 0.95) for _ in range(4000)]
    held = np.mean([low <= truth <= high for low, high in filter(None, found)])
    assert len(found) == 4000
    assert held >= 0.95 - 3 * (0.05 * 0.95 / 4000) ** 0.5
