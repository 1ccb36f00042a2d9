"""Augmentation against numpy's own reflection, whatever is drawn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from edgecnn.train.augment import augment, crop, flip


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    """Noise: no two windows of it are alike."""
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (count, height, width, 3), np.uint8))


@pytest.mark.parametrize(("height", "width", "margins"), [(32, 32, (4, 4)), (24, 48, (3, 6)), (4, 7, (1, 1))])
def test_crop_gives_windows_of_the_reflected_picture(height: int, width: int, margins: tuple[int, int]) -> None:
    images = pictures(300, height, width)
    moved = crop(images, np.random.default_rng(7)).numpy()
    assert moved.shape == images.shape
    assert moved.dtype == np.uint8
    down, right = margins
    shifts = []
    for before, after in zip(images.numpy(), moved, strict=True):
        padded = np.pad(before, ((down, down), (right, right), (0, 0)), mode="reflect")
        windows = {
            (y, x): padded[down + y : down + y + height, right + x : right + x + width]
            for y, x in product(range(-down, down + 1), range(-right, right + 1))
        }
        (shift,) = [shift for shift, window in windows.items() if np.array_equal(window, after)]
        shifts.append(shift)
    rows, columns = (np.array(found) for found in zip(*shifts, strict=True))
    for found, margin in ((rows, down), (columns, right)):
        counts = np.bincount(found + margin, minlength=2 * margin + 1)
        assert counts.min() > 0.4 * len(shifts) / (2 * margin + 1), "each shift is as likely as any"
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.25, "rows and columns move by themselves"


def test_flip_mirrors_half_of_them_left_to_right() -> None:
    images = pictures(400, 8, 10)
    flipped = flip(images, np.random.default_rng(7))
    mirrored = 0
    for before, after in zip(images.numpy(), flipped.numpy(), strict=True):
        same, mirror = np.array_equal(before, after), np.array_equal(before[:, ::-1], after)
        assert same != mirror
        mirrored += mirror
    assert 160 < mirrored < 240


def test_seed_epoch_and_step_decide_everything() -> None:
    images = pictures(16, 32, 32)
    kept = images.clone()
    first = augment(images, ("crop", "flip"), 1, 2, 3)
    assert torch.equal(augment(images, ("crop", "flip"), 1, 2, 3), first)
    assert torch.equal(images, kept), "the pictures in memory stay as they are"
    for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3), (3, 2, 1)]:
        assert not torch.equal(augment(images, ("crop", "flip"), *other), first)


def test_nothing_asked_for_is_nothing_done() -> None:
    images = pictures(4, 8, 8)
    assert augment(images, (), 1, 2, 3) is images
