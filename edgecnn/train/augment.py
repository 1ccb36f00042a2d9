"""Batch augmentation on uint8 pictures, drawn from (seed, epoch, step) and nothing else.

A picture batch is uint8 [N, H, W, 3]; so is what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

Draw = np.random.Generator
CROP_MARGIN = 4 / 32
"""How far a crop may move, as a share of the side: 4 pixels of 32, as in He et al. (arXiv:1512.03385)."""


def crop(images: Tensor, draw: Draw) -> Tensor:
    """Move each picture by up to an eighth of its side; what comes in at the edge is its mirror image."""
    count, height, width, _ = images.shape
    rows = _moved(height, draw, count)
    columns = _moved(width, draw, count)
    picture = torch.arange(count, device=images.device)[:, None, None]
    moved = images[picture, rows.to(images.device)[:, :, None], columns.to(images.device)[:, None, :]]
    return moved


def _moved(length: int, draw: Draw, count: int) -> Tensor:
    """int64 [count, length]: the source index of each row, mirrored at the edges."""
    margin = max(1, round(length * CROP_MARGIN))
    shift = draw.integers(-margin, margin + 1, size=(count, 1))
    index = np.abs(np.arange(length) + shift)
    return torch.from_numpy(np.where(index >= length, 2 * (length - 1) - index, index))


def flip(images: Tensor, draw: Draw) -> Tensor:
    """Mirror half of the pictures left to right."""
    chosen = torch.from_numpy(draw.random(len(images)) < 0.5).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(2), images)


AUGMENTATIONS: dict[str, Callable[[Tensor, Draw], Tensor]] = {"crop": crop, "flip": flip}


def augment(images: Tensor, names: Sequence[str], seed: int, epoch: int, step: int) -> Tensor:
    """Apply the named augmentations in order."""
    draw = np.random.default_rng([seed, epoch, step])
    for name in names:
        images = AUGMENTATIONS[name](images, draw)
    return images
