"""Augmentation by batch: which pixels are read (windows), single pictures (uint8), pictures with each other (floats).

Everything is drawn from the batch's own place; nothing depends on what ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgecnn.geometry import Pair
from edgecnn.train.batches import Batch, Places

if TYPE_CHECKING:
    from torchvision.transforms import v2

CROP_MARGIN = 4 / 32
"""How far a crop may move, as a share of the side: 4 pixels of 32, as in He et al. (arXiv:1512.03385)."""
LEAST_AREA, WIDEST = 0.3, 4 / 3
"""A resized crop's smallest share of the picture's area, and how far its aspect may be from the picture's."""
RESIZED, SPARE = "random_resized_crop", 4 / 3
"""It cuts from pictures whose sides are so many times the net's: from smaller ones its crops would be blurred."""
COLOUR = 0.4
"""How far brightness, contrast and saturation may move, as torchvision's ColorJitter counts it."""
MIXUP_ALPHA, CUTMIX_ALPHA = 0.2, 1.0
"""The settings of torchvision's reference training."""


@dataclass(frozen=True)
class Window:
    """Which pixel of its picture each pixel comes from: rows int64 [n, H], columns int64 [n, W]."""

    rows: Places
    columns: Places


# --- windows: where pixels come from ----------------------------------------------------------------------------------


def crop(window: Window, batch: Batch, share: Places) -> Window:
    """Move each picture by up to an eighth of its side; what comes in at the edge is its mirror image."""
    draw = batch.draw(1)
    return Window(_moved(window.rows, draw, batch, share), _moved(window.columns, draw, batch, share))


def _moved(index: Places, draw: np.random.Generator, batch: Batch, share: Places) -> Places:
    length = index.shape[1]
    margin = max(1, round(length * CROP_MARGIN))
    shift = draw.integers(-margin, margin + 1, size=len(batch.pictures))[share, None]
    moved = np.abs(np.arange(length) + shift)
    return np.take_along_axis(index, np.where(moved >= length, 2 * (length - 1) - moved, moved), axis=1)


def flip(window: Window, batch: Batch, share: Places) -> Window:
    """Mirror half of the pictures left to right."""
    return _mirrored(window, batch.draw(2).random(len(batch.pictures))[share] < 0.5)


def alternating_flip(window: Window, batch: Batch, share: Places) -> Window:
    """Mirror one half of the pictures in even epochs, the other in odd ones (Jordan, arXiv:2404.00498).

    Every picture is seen both ways in any two epochs; drawn anew each time, a quarter would be seen one way twice.
    """
    first = _hash(batch.pictures[share], batch.seed) % 2 == 1
    return _mirrored(window, first ^ (batch.epoch % 2 == 1))


def _mirrored(window: Window, chosen: NDArray[np.bool_]) -> Window:
    return Window(window.rows, np.where(chosen[:, None], window.columns[:, ::-1], window.columns))


def _hash(numbers: Places, seed: int) -> NDArray[np.uint64]:
    """SplitMix64 (Steele et al. 2014) of each number."""
    with np.errstate(over="ignore"):
        x = (numbers.astype(np.uint64) + np.uint64(seed + 1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
        return mixed


WINDOWS: dict[str, Callable[[Window, Batch, Places], Window]] = {
    "crop": crop,
    "flip": flip,
    "alternating_flip": alternating_flip,
}


# --- single pictures --------------------------------------------------------------------------------------------------


def cutout(images: Tensor, batch: Batch, share: Places) -> Tensor:
    """Grey a square of a quarter of the side, somewhere in each picture (arXiv:1708.04552)."""
    draw, corners = batch.draw(3), []
    for length in images.shape[1:3]:
        side = max(1, length // 4)
        first = draw.integers(0, length - side + 1, size=len(batch.pictures))[share, None]
        place = np.arange(length)
        corners.append(torch.from_numpy((place >= first) & (place < first + side)).to(images.device))
    square = corners[0][:, :, None] & corners[1][:, None, :]
    return images.masked_fill(square[..., None], 128)


def random_augment(images: Tensor, batch: Batch, share: Places) -> Tensor:
    """torchvision's RandAugment, two changes of strength 9 (arXiv:1909.13719), picture by picture: this takes time."""
    from torchvision.transforms import v2

    transform = v2.RandAugment(num_ops=2, magnitude=9, fill=128)
    seeds = batch.draw(4).integers(2**62, size=len(batch.pictures))[share]
    with _torch_draws_kept():
        return torch.stack([_seeded(transform, image, seed) for image, seed in zip(images, seeds, strict=True)])


def random_resized_crop(images: Tensor, batch: Batch, share: Places, size: Pair | None = None) -> Tensor:
    """A part of each picture, brought to `size` (Szegedy et al., arXiv:1409.4842): 30 to 100 % of its area.

    size: rows and columns, None for the picture's own. As torchvision's RandomResizedCrop, except that a draw which
    does not fit is cut down to fit instead of drawn anew. Pixels are read between pixels (bilinear), for the whole
    batch at once.
    """
    draw, count = batch.draw(5), len(batch.pictures)
    area = draw.uniform(LEAST_AREA, 1.0, count)
    aspect = np.exp(draw.uniform(-np.log(WIDEST), np.log(WIDEST), count))
    tall, wide = (np.minimum(1.0, np.sqrt(part)) for part in (area / aspect, area * aspect))
    down, right = (draw.uniform(-1.0, 1.0, count) * (1.0 - part) for part in (tall, wide))
    nothing = np.zeros(count)
    rows = np.stack([wide, nothing, right, nothing, tall, down], axis=1)[share].reshape(-1, 2, 3)
    where = torch.from_numpy(rows).to(images.device, torch.float32)
    given = images.permute(0, 3, 1, 2).to(torch.float32)
    grid = functional.affine_grid(where, [*given.shape[:2], *(size or given.shape[2:])], align_corners=False)
    read = functional.grid_sample(given, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def color_jitter(images: Tensor, batch: Batch, share: Places) -> Tensor:
    """Brightness, contrast and saturation of each picture times 0.6 to 1.4 (arXiv:1312.5402), in that order.

    Pictures of one channel have no saturation that could change.
    """
    factors = batch.draw(6).uniform(1 - COLOUR, 1 + COLOUR, (3, len(batch.pictures)))[:, share]
    bright, contrast, saturation = (
        torch.from_numpy(each).to(images.device, torch.float32)[:, None, None, None] for each in factors
    )
    weights = [0.299, 0.587, 0.114] if images.shape[3] == 3 else [1.0]  # ITU-R BT.601
    luma = torch.tensor(weights, device=images.device)
    values = (images.to(torch.float32) * bright).clamp_(0, 255)
    middle = (values @ luma).mean(dim=(1, 2))[:, None, None, None]
    values = middle.lerp(values, contrast).clamp_(0, 255)
    grey = (values @ luma)[..., None]
    return grey.lerp(values, saturation).clamp_(0, 255).round_().to(torch.uint8)


Change = Callable[[Tensor, Batch, Places], Tensor]

PICTURES: dict[str, Change] = {
    RESIZED: random_resized_crop,
    "color_jitter": color_jitter,
    "cutout": cutout,
    "random_augment": random_augment,
}


# --- pictures with each other, by torchvision -------------------------------------------------------------------------


def mixup(classes: int) -> v2.Transform:
    """Blend each picture, and its class, with the one before it in the batch (arXiv:1710.09412)."""
    from torchvision.transforms import v2

    return v2.MixUp(alpha=MIXUP_ALPHA, num_classes=classes)


def cutmix(classes: int) -> v2.Transform:
    """Paste a rectangle of the picture before it in the batch into each picture (arXiv:1905.04899)."""
    from torchvision.transforms import v2

    return v2.CutMix(alpha=CUTMIX_ALPHA, num_classes=classes)


MIXES: dict[str, Callable[[int], v2.Transform]] = {"mixup": mixup, "cutmix": cutmix}
AUGMENTATIONS = (*WINDOWS, *PICTURES, *MIXES)


class Augment:
    """The augmentations that a recipe names; where it names both ways of mixing, each batch draws one."""

    def __init__(self, names: Sequence[str], classes: int, size: Pair | None = None) -> None:
        """size: what random_resized_crop makes, rows and columns; None for the pictures' own."""
        pictures: dict[str, Change] = {**PICTURES, RESIZED: partial(random_resized_crop, size=size)}
        self._windows = [WINDOWS[name] for name in names if name in WINDOWS]
        self._pictures = [pictures[name] for name in names if name in PICTURES]
        self._mixes = [MIXES[name](classes) for name in names if name in MIXES]

    def share(self, batch: Batch) -> Places:
        """This process's places in the batch; mixing needs the neighbour before the first too."""
        return batch.share if self._mixes else batch.share[1:]

    def window(self, batch: Batch, height: int, width: int) -> Window:
        """Where each pixel of this process's pictures comes from."""
        share = self.share(batch)
        window = Window(*(np.broadcast_to(np.arange(length), (len(share), length)) for length in (height, width)))
        for change in self._windows:
            window = change(window, batch, share)
        return window

    def pictures(self, images: Tensor, batch: Batch) -> Tensor:
        """uint8 [n, H, W, C] -> the same, each picture changed by itself."""
        for change in self._pictures:
            images = change(images, batch, self.share(batch))
        return images

    def mix(self, images: Tensor, classes: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """float [n, C, H, W], int64 [n] -> mixed pictures and float [n, K] shares of classes, or both as they were."""
        if not self._mixes:
            return images, classes
        which = int(batch.draw(20).integers(len(self._mixes)))
        with _torch_draws_kept():
            torch.manual_seed(batch.torch_seed())
            mixed, shares = self._mixes[which](images, classes)
        return mixed[1:], shares[1:]


def _seeded(transform: v2.Transform, image: Tensor, seed: int) -> Tensor:
    """One picture uint8 [H, W, C] through a transform that draws from torch's generator."""
    torch.manual_seed(int(seed))
    changed: Tensor = transform(image.permute(2, 0, 1))
    return changed.permute(1, 2, 0)


@contextmanager
def _torch_draws_kept() -> Iterator[None]:
    """torchvision draws from torch's one generator: put it back where it stood."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
