"""Augmentation against numpy's own reflection, torchvision by hand, and on any number of processes alike."""

from __future__ import annotations

from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from edgecnn.data import Pictures
from edgecnn.recipe.schema import Augmentation
from edgecnn.train.augment import AUGMENTATIONS, Augment, random_resized_crop
from edgecnn.train.batches import batch_of, order
from edgecnn.train.loader import Loader, normalise

CPU = torch.device("cpu")
ADJUSTMENTS = (v2.functional.adjust_brightness, v2.functional.adjust_contrast, v2.functional.adjust_saturation)


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


class Drawn:
    """A batch of one picture whose draws are given."""

    pictures = np.arange(1)

    def __init__(self, *values: float) -> None:
        self._values = iter(values)

    def draw(self, what: int) -> Drawn:
        return self

    def uniform(self, low: float, high: float, size: int | tuple[int, int]) -> np.ndarray:
        """As numpy's, within the limits; values not given are no longer asked for."""
        made = np.array([next(self._values) for _ in range(int(np.prod(size)))]).reshape(size)
        assert ((low <= made) & (made <= high)).all()
        return made


@pytest.mark.parametrize(
    ("height", "width", "top", "left", "tall", "wide"),
    [(32, 32, 4, 8, 20, 16), (48, 64, 0, 10, 36, 54), (40, 40, 15, 0, 25, 25), (32, 32, 0, 0, 32, 32)],
)
def test_a_resized_crop_is_torchvisions(height: int, width: int, top: int, left: int, tall: int, wide: int) -> None:
    """In one known window; at its border we read the pixels beyond it, torchvision repeats the last ones."""
    picture = torch.from_numpy(noise(1, height, width).images)
    drawn = window(height, width, top, left, tall, wide)
    found = random_resized_crop(picture, drawn, np.arange(1))[0].int()  # type: ignore[arg-type]
    planes = picture[0].permute(2, 0, 1)
    expected = v2.functional.resized_crop(planes, top, left, tall, wide, [height, width]).permute(1, 2, 0).int()
    inner = (slice(3, height - 3), slice(3, width - 3))
    assert (found[inner] - expected[inner]).abs().max() <= 2
    shifted = v2.functional.resized_crop(planes, top, left + 1, tall, wide - 1, [height, width]).permute(1, 2, 0).int()
    assert (found[inner] - shifted[inner]).abs().max() > 20, "a window a pixel off would be seen"


def window(height: int, width: int, top: int, left: int, tall: int, wide: int) -> Drawn:
    """The draws that make random_resized_crop read this part of a picture."""
    share = tall / height, wide / width
    middle = (2 * top + tall) / height - 1, (2 * left + wide) / width - 1
    moved = [at / (1 - part) if part < 1 else 0.0 for at, part in zip(middle, share, strict=True)]
    return Drawn(share[0] * share[1], np.log(share[1] / share[0]), *moved)


def test_a_crop_of_a_larger_picture_has_the_nets_size_and_the_larger_ones_pixels() -> None:
    """64x64 to 48x48 of a part of 48x48: the very pixels. Of the picture made 48x48 first they could not be had."""
    picture = torch.from_numpy(noise(1, 64, 64).images)
    drawn = window(64, 64, 10, 4, 48, 48)
    found = random_resized_crop(picture, drawn, np.arange(1), (48, 48))  # type: ignore[arg-type]
    assert (found.int() - picture[:, 10:58, 4:52].int()).abs().max() <= 1


def test_the_loader_brings_larger_pictures_to_the_nets_size() -> None:
    names = ("flip", "random_resized_crop", "color_jitter", "mixup")
    images, shares = Loader(noise(20, 40, 24), 10, names, CPU, (30, 18)).load(batch_of(np.arange(20), 20, 1, 2, 0))
    assert (tuple(images.shape), tuple(shares.shape)) == ((20, 3, 30, 18), (20, 10))


def test_resized_crops_are_of_many_sizes_and_places() -> None:
    """What is read of a picture whose pixels are their own coordinates: the window, by its corners."""
    side, count = 64, 400
    rows, columns = np.mgrid[0:side, 0:side] * 4
    picture = np.stack([rows, columns, rows * 0], axis=2).astype(np.uint8)
    pictures = Pictures(np.stack([picture] * count), np.zeros(count, int), tuple(map(str, range(count))))
    after = changed(pictures, "random_resized_crop").astype(float) / 4
    tall = (after[:, -8, 0, 0] - after[:, 7, 0, 0]) / (side - 15)
    wide = (after[:, 0, -8, 1] - after[:, 0, 7, 1]) / (side - 15)
    area, aspect = tall * wide, wide / tall
    assert area.min() > 0.27
    assert area.max() < 1.03
    assert 0.55 < area.mean() < 0.7, "uniform in 0.3..1, less what was cut down to fit"
    assert 0.7 < aspect.min() < 0.8
    assert 1.25 < aspect.max() < 1.4
    centre = after[:, side // 2, side // 2, :2]
    small = area < 0.5
    assert centre[small].std(axis=0).min() > 5, "and they lie everywhere"
    assert np.abs(centre.mean(axis=0) - side / 2).max() < 2


def test_color_jitter_is_torchvisions_three_adjustments() -> None:
    """Of floats: those of bytes cut off what is behind the comma three times."""
    pictures = noise(30, 16, 16)
    factors = batch_of(np.arange(30), 30, 1, 2, 0).draw(6).uniform(0.6, 1.4, (3, 30))
    assert factors.min() < 0.65
    assert factors.max() > 1.35
    after = changed(pictures, "color_jitter")
    assert after.dtype == np.uint8
    for i, (picture, found) in enumerate(zip(pictures.images, after, strict=True)):
        expected = torch.from_numpy(picture).permute(2, 0, 1) / 255
        for adjust, factor in zip(ADJUSTMENTS, factors[:, i], strict=True):
            expected = adjust(expected, factor)
        apart = np.abs(255 * expected.permute(1, 2, 0).numpy() - found.astype(float))
        assert apart.max() <= 0.51, "rounded once"
        other = ADJUSTMENTS[0](torch.from_numpy(picture).permute(2, 0, 1), 1.0 + 0.1).permute(1, 2, 0).numpy()
        assert np.abs(other.astype(int) - found.astype(int)).max() > 5, "other factors would be seen"


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


def test_a_recipe_may_name_each_of_them() -> None:
    assert set(AUGMENTATIONS) == set(get_args(Augmentation))


def test_seed_epoch_and_step_decide_everything_and_torch_has_no_say() -> None:
    pictures = noise(24, 32, 32)
    names = tuple(name for name in AUGMENTATIONS if name != "alternating_flip")
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


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_grey_pictures_are_changed_as_colour_is_of_which_each_channel_is_that_grey(name: str) -> None:
    grey = noise(12, 28, 28).images[..., :1]
    found, alike, plain = (
        Loader(Pictures(np.ascontiguousarray(images), np.arange(12) % 10, tuple(map(str, range(12)))), 10, names, CPU)
        .load(batch_of(np.arange(12), 12, 1, 2, 0))[0]
        .numpy()
        for images, names in ((grey, (name,)), (np.repeat(grey, 3, axis=3), (name,)), (grey, ()))
    )
    assert found.shape == (12, 1, 28, 28)
    assert not np.array_equal(found, plain), "it does something"
    np.testing.assert_allclose(found[:, 0], alike[:, 0], atol=1.01 / 128)


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
