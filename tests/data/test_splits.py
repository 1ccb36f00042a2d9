"""Holding out: how many of each class, which ones, and what may not change the draw."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.data.splits import hold_out
from edgecnn.errors import UnusableFile


def test_each_class_gives_its_share() -> None:
    classes = np.repeat(np.arange(3), [100, 10, 4])
    np.random.default_rng(5).shuffle(classes)
    train, val = hold_out(classes, 0.1, ("a", "b", "c"))
    assert np.bincount(classes[val]).tolist() == [10, 1, 1], "round(n / 10), and at least one"
    assert sorted([*train, *val]) == list(range(114))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()


def test_the_draw_is_always_the_same() -> None:
    """Written down once: training runs that are compared are judged on these pictures."""
    classes = np.arange(40) % 2
    for _ in range(2):
        assert hold_out(classes, 0.2, ("a", "b"))[1].tolist() == [4, 8, 9, 12, 15, 23, 33, 38]


@pytest.mark.parametrize(("counts", "fraction"), [([5, 1], 0.1), ([2, 10], 0.9)])
def test_a_class_too_small_is_named(counts: list[int], fraction: float) -> None:
    classes = np.repeat(np.arange(2), counts)
    small = "b" if counts[1] == 1 else "a"
    with pytest.raises(UnusableFile, match=f"class '{small}' has {min(counts)} training pictures"):
        hold_out(classes, fraction, ("a", "b"))
