"""Augmentation against numpy's own reflection, torchvision by hand, and on any number of processes alike."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from edgecnn.data import Pictures
from edgecnn.train.augment import AUGMENTATIONS, Augment
from edgecnn.train.batches import batch_of, order
from edgecnn.train.loader import Loader, normalise

CPU = torch.device("cpu")


def noise(count: int, height: int, width: int) -> Pictures:
    """No two windows of it are alike."""
    images = np.random.default_rng(1).integers(0, 256, (count, height, width, 3), np.uint8)
    classes = np.arange(count) % 10
    return Pictures(images, classes, tuple(f"train/{i}" for i in range(count)))


def changed(pictures: Pictures, *names: str, seed: int = 1, epoch: int = 2, step: int = 0) -> np.ndarray:
    """uint8 [N, H, W, 3]: all pictures as one batch in their own order, read and changed singly."""
    loader = Loader(pictures, 10, names, CPU)
    batch = batch_of(np.arange(len(pictures)), len(pictures), seed, epoch, step)
    augment = Augment(names, 10)
    window = augment.window(batch, *pictures.images.shape[1:3])
    return augment.pictures(loader._read(batch.pictures, window), batch).numpy()


@pytest.mark.parametrize(("height", "width", "margins"), [(32, 32, (4, 4)), (24, 48, (3, 6)), (4, 7, (1, 1))])
def test_crop_gives_windows_of_the_reflected_picture(height: int, width: int, margins: tuple[int, int]) -> None:
    pictures = noise(300, height, width)
    moved = changed(pictures, "crop")
    assert moved.shape == pictures.images.shape
    assert moved.dtype == np.uint8
    down, right = margins
    shifts = []
    for before, after in zip(pictures.images, moved, strict=True):
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


def mirrored(pictures: Pictures, name: str, epoch: int) -> np.ndarray:
    """bool [N]: which were mirrored left to right; the others are as they were."""
    found = changed(pictures, name, epoch=epoch)
    same = np.array([np.array_equal(a, b) for a, b in zip(pictures.images, found, strict=True)])
    other = np.array([np.array_equal(a[:, ::-1], b) for a, b in zip(pictures.images, found, strict=True)])
    assert np.array_equal(same, ~other)
    return other


def test_flip_mirrors_half_of_them_left_to_right() -> None:
    assert 160 < mirrored(noise(400, 8, 10), "flip", 0).sum() < 240


def test_alternating_flip_shows_each_picture_both_ways_in_two_epochs() -> None:
    pictures = noise(400, 8, 10)
    first, second, third = (mirrored(pictures, "alternating_flip", epoch) for epoch in (4, 5, 6))
    assert np.array_equal(first, ~second)
    assert np.array_equal(first, third)
    assert 160 < first.sum() < 240
    plain = [mirrored(pictures, "flip", epoch) for epoch in (4, 5)]
    assert not np.array_equal(plain[0], ~plain[1])


def test_crop_then_flip_is_one_after_the_other() -> None:
    pictures = noise(50, 16, 16)
    cropped, both = changed(pictures, "crop"), changed(pictures, "crop", "flip")
    turned = mirrored(pictures, "flip", 2)
    assert np.array_equal(both, np.where(turned[:, None, None, None], cropped[:, :, ::-1], cropped))


def test_cutout_greys_a_quarter_of_the_side() -> None:
    pictures = noise(100, 32, 32)
    after = changed(pictures, "cutout")
    for picture, cut in zip(pictures.images, after, strict=True):
        rows, columns = np.nonzero((picture != cut).any(axis=2))
        assert rows.max() - rows.min() <= 7
        assert columns.max() - columns.min() <= 7
        square = cut[rows.min() : rows.min() + 8, columns.min() : columns.min() + 8]
        assert (square == 128).all() or square.shape[:2] != (8, 8)
        assert 60 <= len(rows) <= 64, "a few pixels may be grey by themselves"


def test_random_augment_is_torchvisions_by_the_pictures_own_seed() -> None:
    pictures = noise(12, 32, 32)
    after = changed(pictures, "random_augment")
    assert after.dtype == np.uint8
    seeds = batch_of(np.arange(12), 12, 1, 2, 0).draw(4).integers(2**62, size=12)
    for picture, seed, found in zip(pictures.images, seeds, after, strict=True):
        torch.manual_seed(int(seed))
        expected = v2.RandAugment(num_ops=2, magnitude=9, fill=128)(torch.from_numpy(picture).permute(2, 0, 1))
        assert np.array_equal(expected.permute(1, 2, 0).numpy(), found)
    assert sum(np.array_equal(a, b) for a, b in zip(pictures.images, after, strict=True)) < 12


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_is_with_the_picture_before_in_the_batch(name: str) -> None:
    pictures = noise(16, 8, 8)
    images, shares = Loader(pictures, 10, (name,), CPU).load(batch_of(np.arange(16), 16, 1, 2, 0))
    plain = normalise(torch.from_numpy(pictures.images))
    assert images.shape == plain.shape
    assert shares.shape == (16, 10)
    assert torch.allclose(shares.sum(1), torch.ones(16))
    for i in range(16):
        own = float(shares[i, i % 10])
        assert shares[i, (i - 1) % 16 % 10] == pytest.approx(1 - own, abs=1e-6)
        if name == "mixup":
            assert torch.allclose(images[i], own * plain[i] + (1 - own) * plain[i - 1], atol=1e-5)
        else:
            mine, theirs = (images[i] == plain[i]).all(0), (images[i] == plain[i - 1]).all(0)
            assert (mine | theirs).all()
            assert float(mine.float().mean()) == pytest.approx(own, abs=1e-6)


def test_seed_epoch_and_step_decide_everything_and_torch_has_no_say() -> None:
    pictures = noise(24, 32, 32)
    names = ("crop", "flip", "cutout", "random_augment", "mixup", "cutmix")
    loader = Loader(pictures, 10, names, CPU)

    def loaded(seed: int, epoch: int, step: int) -> torch.Tensor:
        return loader.load(batch_of(order(seed, epoch, 24), 12, seed, epoch, step))[0]

    first = loaded(1, 2, 1)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(loaded(1, 2, 1), first)
    assert torch.equal(torch.get_rng_state(), state), "dropout draws from it"
    for other in [(2, 2, 1), (1, 3, 1), (1, 2, 0)]:
        assert not torch.equal(loaded(*other), first)
    assert np.array_equal(pictures.images, noise(24, 32, 32).images), "the pictures in memory stay as they are"


@pytest.mark.parametrize("names", [(), ("crop", "flip"), AUGMENTATIONS], ids=["none", "usual", "all"])
@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_of_several_processes_are_the_batch_of_one(names: tuple[str, ...], world: int) -> None:
    if "flip" in names and "alternating_flip" in names:
        names = tuple(name for name in names if name != "flip")
    loader = Loader(noise(40, 16, 16), 10, names, CPU)
    places = order(0, 0, 40)
    whole = loader.load(batch_of(places, 19, 0, 0, 1))
    shares = [loader.load(batch_of(places, 19, 0, 0, 1, rank, world)) for rank in range(world)]
    for number in range(2):
        assert torch.equal(torch.cat([share[number] for share in shares]), whole[number])
    assert max(len(share[0]) for share in shares) - min(len(share[0]) for share in shares) <= 1


def test_every_picture_once_an_epoch_whatever_the_processes() -> None:
    places = order(5, 1, 45)
    batches = [batch_of(places, 9, 5, 1, step, rank, 2) for step in range(5) for rank in range(2)]
    seen = [batch.pictures[batch.share[1:]] for batch in batches]
    assert sorted(np.concatenate(seen)) == list(range(45))
    digests = {batch_of(places, 9, 5, 1, step).digest for step in range(5)}
    assert len(digests) == 5
