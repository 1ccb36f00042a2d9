"""Steps of sums of which none comes near a tie, so that every engine rounds them alike.

An engine computes step_a * a + step_b * b in steps of the sum, by the ratios step_a / step and step_b / step, each in a
precision of its own: XNNPACK keeps 21 bits of them. Of 65,536 pairs of values, some are nearer to the middle between
two steps than that, and come out a step apart. Where both ratios are whole multiples of one part in an odd number, no
pair is nearer to the middle than half such a part.
"""

from __future__ import annotations

import math
from fractions import Fraction

PARTS = 511
"""About how many parts, at most twice as many: the middle then stays at least 1.9 times as far away as 21 bits of two
ratios below 2 are off, times 255 steps (tests/quantize/test_sums.py)."""
MOST = 1.0 / 32.0
"""By how much a step may become larger for it."""
ALIKE = 3e-7
"""How far float32 steps may be off the ratio that they were made for."""


def of_two(first: float, second: float, least: float) -> float | None:
    """The sum's step, at least `least`, where the steps of its inputs stay.

    None where these are not in the ratio of small whole numbers, or it would have to be larger by more than MOST.
    """
    ratio = Fraction(first / second).limit_denominator(PARTS)
    if ratio == 0 or abs(float(ratio) * second / first - 1.0) > ALIKE:
        return None
    of_first = ratio.numerator * max(1, math.floor(PARTS * first / least / ratio.numerator))
    parts = math.ceil(of_first * least / first) | 1
    made = first * parts / of_first
    return made if made <= least * (1.0 + MOST) and parts <= 2 * PARTS else None


def of_one(first: float, second: float, least: float) -> tuple[float, float] | None:
    """The steps of the second input and of the sum, at least `second` and `least`, where that of the first stays.

    None where one would have to be larger by more than MOST.
    """
    of_first = math.floor(PARTS * first / least)
    if of_first == 0:
        return None
    made = first * PARTS / of_first
    other = made * math.ceil(PARTS * second / made) / PARTS
    return (other, made) if other <= second * (1.0 + MOST) and made <= least * (1.0 + MOST) else None
