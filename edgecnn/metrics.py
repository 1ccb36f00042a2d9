"""Pure figures over arrays: what verify, eval and the trainer report.

`logits` are [N, K]; `classes` are [N] integers. The lowest index wins ties (numpy's argmax), everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def top1(logits: Array, classes: Array) -> float:
    """The share of rows whose largest logit is the right class."""
    return float((logits.argmax(axis=1) == classes).mean())


def topk(logits: Array, classes: Array, k: int) -> float:
    """The share of rows whose right class is among the k largest logits; the lower index wins a tie."""
    ranked = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :k]
    return float((ranked == classes[:, None]).any(axis=1).mean())


def confusion(predicted: Array, classes: Array, count: int) -> Array:
    """int64 [count, count]: how often class `row` was called `column`."""
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (classes, predicted), 1)
    return table


def agreement(a: Array, b: Array) -> float:
    """The share of rows in which two models name the same class."""
    return float((a.argmax(axis=1) == b.argmax(axis=1)).mean())


def steps(a: Array, b: Array) -> Array:
    """How many quantization steps lie between two integer arrays of the same grid, value by value."""
    return np.abs(a.astype(np.int32) - b.astype(np.int32))


def ties(logits: Array) -> int:
    """The number of rows whose largest value occurs more than once."""
    return int(((logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())


def softmax(logits: Array) -> Array:
    """Probabilities of [N, K] logits, along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def nll(logits: Array, classes: Array) -> float:
    """The mean negative logarithm of the right class's probability, in nats: what training and temperature minimise."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    right = shifted[np.arange(len(classes)), classes]
    return float((np.log(np.exp(shifted).sum(axis=1)) - right).mean())


def ece(probabilities: Array, classes: Array, bins: int = 15) -> float:
    """The expected calibration error: how far the likeliest class's probability is from how often it is right.

    probabilities: [N, K]. The mean over bins of equal width, weighted by their pictures. Source: Guo et al., On
    Calibration of Modern Neural Networks (arXiv:1706.04599), equation 3.
    """
    likeliest = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == classes
    place = np.clip(np.ceil(likeliest * bins).astype(int) - 1, 0, bins - 1)  # (0, 1/15], (1/15, 2/15] ...
    apart = np.bincount(place, right - likeliest, minlength=bins)
    return float(np.abs(apart).sum() / len(classes))


def mcnemar(right_a: Array, right_b: Array) -> float:
    """The exact two-sided p-value of McNemar's test on paired right/wrong answers.

    Source: McNemar, Psychometrika 12 (1947); exact binomial form of Fagerland, Lydersen and Laake, BMC Medical
    Research Methodology 13 (2013), section 2. 1.0 where the models never differ.
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    differing, fewer = only_a + only_b, min(only_a, only_b)
    if differing == 0:
        return 1.0
    log_half = differing * math.log(0.5)
    tail = sum(math.exp(_log_choose(differing, k) + log_half) for k in range(fewer + 1))
    return min(1.0, 2.0 * tail)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def drop_interval(right_a: Array, right_b: Array, z: float = 1.959963984540054) -> tuple[float, float]:
    """The 95 % interval of accuracy(a) - accuracy(b), on paired answers.

    Source: the Wald interval with Agresti and Min's adjustment (half a pair added to each of the four cells),
    Statistics in Medicine 24 (2005).
    """
    only_a = float((right_a & ~right_b).sum()) + 0.5
    only_b = float((right_b & ~right_a).sum()) + 0.5
    n = len(right_a) + 2.0
    difference = (only_a - only_b) / n
    half = z * math.sqrt(max(0.0, only_a + only_b - (only_a - only_b) ** 2 / n)) / n
    return difference - half, difference + half


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """An interval that holds the median of where `values` come from, whatever their distribution; None for too few.

    Source: the sign test turned round, from the binomial distribution of how many values lie below the median; David
    and Nagaraja, Order Statistics (2003), section 7.1. At least `confidence`; six values are the fewest for 95 %.
    """
    ordered, n = sorted(values), len(values)
    below = 0.0
    for rank in range(n // 2 + 1):
        below += math.comb(n, rank) * 0.5**n  # the chance that at most `rank` values lie below the median
        if 1.0 - 2.0 * below < confidence:
            return (ordered[rank - 1], ordered[n - rank]) if rank else None
    return None
