"""Near-duplicates: copies planted among real pictures are found, each as the nearest of all, and little else is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.data import Pictures, duplicates
from edgecnn.data.duplicates import NearDuplicate, Pair, near_duplicates, pairs_within, thumbnail
from edgecnn.data.sources import find_source

Image = NDArray[np.uint8]


@cache
def real() -> tuple[Image, ...]:
    """1,000 pictures of 32x32, not the same ones as any in another place."""
    source = find_source("cifar10_mini")
    return tuple(source.read(source.locate(None) or Path(), "test").images)


def pictures(images: list[Image], split: str, classes: int = 1) -> Pictures:
    numbers = np.arange(len(images), dtype=np.int64) % classes
    return Pictures(
        np.stack([thumbnail(i) for i in images]), numbers, tuple(f"{split}/{i}" for i in range(len(images)))
    )


def encoded(image: Image, quality: int = 60) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def resized(image: Image, side: int) -> Image:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if side < 32 else cv2.INTER_CUBIC)


def brighter(image: Image) -> Image:
    return np.clip(image.astype(np.int32) + 10, 0, 255).astype(np.uint8)


def mirrored(image: Image) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


WAYS: dict[str, Callable[[Image], Image]] = {
    "the same": lambda image: image,
    "encoded at quality 60": encoded,
    "half the size": lambda image: resized(image, 16),
    "three times the size": lambda image: resized(image, 96),
    "brighter": brighter,
    "mirrored": mirrored,
    "all of these": lambda image: mirrored(encoded(brighter(resized(image, 24)))),
}


@pytest.mark.parametrize("way", WAYS)
def test_planted_copies_are_found(way: str) -> None:
    images, planted = list(real()), range(0, 1000, 4)
    found = near_duplicates(
        {"train": pictures(images, "train"), "test": pictures([WAYS[way](images[i]) for i in planted], "test")}, ["x"]
    )
    right = [pair for pair in found if planted[int(pair.name_b[5:])] == int(pair.name_a[6:])]
    assert len(right) >= 0.98 * len(planted)
    assert len(found) - len(right) <= 1, "a copy's nearest is its original"
    if way in ("mirrored", "all of these"):
        assert np.mean([pair.mirrored for pair in right]) > 0.95
    if way == "the same":
        assert {pair.distance for pair in right} == {0.0}


def test_different_pictures_are_not_found() -> None:
    images = list(real())
    found = near_duplicates({"train": pictures(images[:500], "train"), "test": pictures(images[500:], "test")}, ["x"])
    assert len(found) <= 2


def test_what_is_said_of_a_pair() -> None:
    images = list(real())
    a, b = pictures(images[:10], "train", classes=2), pictures([images[40], mirrored(images[4])], "test", classes=2)
    assert near_duplicates({"train": a, "val": pictures(images[50:60], "val"), "test": b}, ["cat", "dog"]) == (
        NearDuplicate("train", "train/4", "cat", "test", "test/1", "dog", True, 0.0),
    )


def test_all_pairs_of_splits_are_looked_at_and_the_nearest_come_first() -> None:
    images = list(real())
    one, copy = pictures(images[:3], "train"), pictures([encoded(images[0]), images[2]], "val")
    found = near_duplicates({"train": one, "val": copy, "test": pictures(images[:1], "test")}, ["x"])
    assert [(pair.split_a, pair.name_a, pair.split_b, pair.name_b) for pair in found] == [
        ("train", "train/2", "val", "val/1"),
        ("train", "train/0", "val", "val/0"),
        ("train", "train/0", "test", "test/0"),
        ("val", "val/0", "test", "test/0"),
    ]
    assert found[0].distance < found[1].distance


def test_flat_pictures_are_like_no_other() -> None:
    flat = [np.full((32, 32, 3), shade, np.uint8) for shade in range(0, 250, 5)]
    assert near_duplicates({"train": pictures(flat, "train"), "test": pictures(flat, "test")}, ["x"]) == ()


def test_faint_pictures_count_and_noise_does_not() -> None:
    def doubled(images: list[Image]) -> int:
        return len(near_duplicates({"train": pictures(images, "train"), "test": pictures(images, "test")}, ["x"]))

    assert doubled([np.uint8(110) + image // 20 for image in real()[:20]]) == 20
    random = np.random.default_rng(0)
    assert doubled([random.integers(120, 122, (32, 32, 3), np.uint8) for _ in range(20)]) == 0


def test_never_more_than_one_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", 64)  # several blocks
    images = [real()[0]] * 40
    found = near_duplicates({"train": pictures(images, "train"), "test": pictures(images, "test")}, ["x"])
    assert [pair.name_b for pair in found] == [f"test/{i}" for i in range(40)]


@pytest.mark.parametrize("way", WAYS)
def test_copies_within_one_set_are_found(way: str) -> None:
    images, planted = list(real()[:200]), range(0, 200, 4)
    found = pairs_within(np.stack([thumbnail(image) for image in [*images, *(WAYS[way](images[i]) for i in planted)]]))
    right = {(pair.a, pair.b) for pair in found} & {(i, 200 + number) for number, i in enumerate(planted)}
    assert len(right) >= 0.96 * len(planted)
    assert len(found) - len(right) <= 1, "nothing else is alike"
    assert all(pair.a < pair.b for pair in found)


def test_within_one_set_there_may_be_none_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pairs_within(np.empty((0, 16, 16, 3), np.uint8)) == ()
    assert pairs_within(np.stack([thumbnail(real()[0])])) == ()
    monkeypatch.setattr(duplicates, "FELLOWS", 3)
    many = pairs_within(np.stack([thumbnail(real()[number % 2]) for number in range(40)]))
    assert Pair(0, 2, False, 0.0) in many
    assert {pair.b for pair in many} == set(range(2, 40)), "each is connected to another"
    assert all(pair.a % 2 == pair.b % 2 for pair in many)


def test_a_split_without_pictures() -> None:
    none = Pictures(np.empty((0, 16, 16, 3), np.uint8), np.empty(0, np.int64), ())
    assert near_duplicates({"train": none, "test": pictures(list(real()[:3]), "test")}, ["x"]) == ()
    assert near_duplicates({"train": pictures(list(real()[:3]), "train"), "test": none}, ["x"]) == ()
