"""Holding out validation pictures: a stratified draw that depends on nothing but the classes and the fraction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import UnusableFile

Places = NDArray[np.int64]


def hold_out(classes: NDArray[np.int64], fraction: float, labels: Sequence[str]) -> tuple[Places, Places]:
    """Split [N] class numbers into the places of train and of val, both ascending.

    Of each class round(n * fraction) pictures are held out, at least one. The draw is numpy's `default_rng(0)`,
    whatever seed training has: two runs that differ in their seed are judged on the same pictures.
    Raises UnusableFile when a class would have nothing left to train on.
    """
    random = np.random.default_rng(0)
    held = []
    for number, label in enumerate(labels):
        members = np.flatnonzero(classes == number)
        count = max(1, round(len(members) * fraction))
        if count >= len(members):
            raise UnusableFile(
                f"class '{label}' has {len(members)} training pictures: holding out {count} for validation leaves "
                "none; add pictures or lower data.val_fraction"
            )
        held.append(random.permutation(members)[:count])
    val = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(classes)), val), val
