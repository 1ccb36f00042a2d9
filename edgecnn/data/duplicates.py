"""Near-duplicates: one shot in train and again in test makes an accuracy come out too high.

CIFAR-10's test split has them for 3.3 % of its pictures (Barz and Denzler, "Do We Train on Test Data? Purging CIFAR of
Near-Duplicates", 2020, arXiv:1902.00423). Found here in two steps, both on thumbnails of 16x16:

1. Candidates by correlation of the 8x8 lowest frequencies of the grey thumbnail's DCT, the ones that a perceptual hash
   (pHash) keeps one bit each of; here they stay numbers, so that all pairs are a matrix product, and are weighted by
   their frequency, which evens out the 1/f spectrum of natural pictures (Field, 1987): without it every blue sky over a
   grey sea is like every other. Brightness and contrast drop out. Mirroring only changes the sign of the frequencies
   that are odd from left to right, so their part of the sum is taken without its sign and mirrored copies come for free
   (comparing mirrored pictures too: Torralba, Fergus and Freeman, "80 Million Tiny Images", 2008).
2. Those are confirmed by the mean absolute difference of the colour thumbnails, each channel's mean taken off.

Both limits were chosen by looking at the pairs found in CIFAR-10. Copies that were encoded anew, resized, brightened or
mirrored are found; ones that were cropped or turned mostly not. Pictures of one flat colour are like no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.pictures import Pictures
from edgecnn.edge import pixels

SIDE = 16  # of a thumbnail, pixels
FREQUENCIES = 8
ALIKE = 0.90  # the smallest correlation of a candidate
APART = 0.40  # the largest distance of a near-duplicate
CANDIDATES = 8  # looked at closely for each picture, the most alike first
FELLOWS = 32  # the same within one set of pictures, where all of a kind are wanted, not only the nearest
FAINTEST = 2.0  # grey steps of contrast below which a picture is taken for a flat one: what is left is noise
BLOCK = 1 << 24  # correlations held at once: 64 MiB

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class NearDuplicate:
    """A picture of a later split with the picture of an earlier one that is nearest to it.

    `distance` is the mean absolute difference of their thumbnails as a share of the fainter one's contrast (its mean
    absolute deviation): 0 for the same pixels, near 1 for two that have nothing in common. Where the labels differ,
    one of them is wrong or both are true.
    """

    split_a: str
    name_a: str
    label_a: str
    split_b: str
    name_b: str
    label_b: str
    mirrored: bool
    distance: float


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] -> uint8 [16, 16, 3], by the one way to bring a picture to a size."""
    return pixels.fit(image, SIDE, SIDE, "stretch")


def near_duplicates(splits: Mapping[str, Pictures], labels: Sequence[str]) -> tuple[NearDuplicate, ...]:
    """The near-duplicates between each two splits, given as thumbnails; of two splits the nearest pairs come first.

    For each picture of the later split it is the nearest of the earlier one only, so there are never more than it has.
    45,000 against 10,000 pictures take about two seconds on one core.
    """
    described = {split: _describe(pictures.images) for split, pictures in splits.items()}
    found: list[NearDuplicate] = []
    for a, b in combinations(splits, 2):
        pairs = []
        for place_b, places_a in _candidates(described[a], described[b]):
            distance, mirrored, place_a = _nearest(splits[a].images, places_a, splits[b].images[place_b])
            if distance <= APART:
                pairs.append((distance, mirrored, place_a, place_b))
        for distance, mirrored, place_a, place_b in sorted(pairs):
            one, other = _named(splits[a], place_a, labels), _named(splits[b], place_b, labels)
            found.append(NearDuplicate(a, *one, b, *other, mirrored, round(distance, 4)))
    return tuple(found)


@dataclass(frozen=True)
class Pair:
    """Two pictures of one set, by their places, a < b; distance and mirrored as in `NearDuplicate`."""

    a: int
    b: int
    mirrored: bool
    distance: float


def pairs_within(images: NDArray[np.uint8]) -> tuple[Pair, ...]:
    """The near-duplicates within one set of thumbnails, uint8 [N, 16, 16, 3], sorted by their places.

    Of pictures that have more than FELLOWS others like them not all pairs are there, but enough to connect them.
    """
    described = _describe(images)
    found: dict[tuple[int, int], Pair] = {}
    for place, hits in _candidates(described, described, FELLOWS + 1):
        others = hits[hits != place]
        if len(others) == 0:
            continue
        for other, distance, mirrored in zip(others, *_distances(images[others], images[place]), strict=True):
            a, b = sorted((place, int(other)))
            if distance <= APART:
                found.setdefault((a, b), Pair(a, b, bool(mirrored), round(float(distance), 4)))
    return tuple(found[key] for key in sorted(found))


def _named(pictures: Pictures, place: int, labels: Sequence[str]) -> tuple[str, str]:
    return pictures.names[place], labels[pictures.classes[place]]


def _describe(images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """uint8 [N, 16, 16, 3] -> float32 [N, 32] twice: the even and the odd frequencies, together of length 1.

    Fainter pictures than FAINTEST stay shorter than 1, a flat one has length 0: they correlate with nothing.
    """
    rising = np.arange(FREQUENCIES)
    basis = np.cos(np.pi * (2 * np.arange(SIDE) + 1) * rising[:, None] / (2 * SIDE))
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)  # orthonormal DCT-II
    weights = np.hypot(rising[:, None], rising)  # 0 for the mean
    features = np.empty((len(images), FREQUENCIES, FREQUENCIES), np.float32)
    for start in range(0, len(images), 4096):
        grey = images[start : start + 4096].mean(axis=3, dtype=np.float32)
        features[start : start + 4096] = basis @ grey @ basis.T * weights
    lengths = np.sqrt(np.square(features).sum(axis=(1, 2), keepdims=True))
    features /= np.maximum(lengths, FAINTEST * SIDE)
    halves = features[:, :, ::2], features[:, :, 1::2]
    even, odd = (np.ascontiguousarray(half).reshape(len(images), FREQUENCIES**2 // 2) for half in halves)
    return even, odd


def _candidates(
    a: tuple[Floats, Floats], b: tuple[Floats, Floats], most: int = CANDIDATES
) -> Iterator[tuple[int, Places]]:
    """For each picture of `b` that has any: its place, and the places in `a` of the most alike ones."""
    (even_a, odd_a), (even_b, odd_b) = a, b
    rows = max(1, BLOCK // max(1, len(even_a)))
    for start in range(0, len(even_b), rows):
        alike = even_b[start : start + rows] @ even_a.T
        alike += np.abs(odd_b[start : start + rows] @ odd_a.T)
        for row in np.flatnonzero(alike.max(axis=1, initial=0.0) >= ALIKE):
            hits = np.flatnonzero(alike[row] >= ALIKE)
            best = np.argsort(-alike[row, hits], kind="stable")[:most]
            yield start + int(row), hits[best]


def _nearest(images: NDArray[np.uint8], places: Places, other: NDArray[np.uint8]) -> tuple[float, bool, int]:
    """The distance to the nearest of the pictures at `places`, whether it is mirrored, and its place."""
    distances, mirrored = _distances(images[places], other)
    nearest = int(distances.argmin())
    return float(distances[nearest]), bool(mirrored[nearest]), int(places[nearest])


def _distances(images: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.bool_]]:
    """uint8 [M, 16, 16, 3] -> float32 [M], the distance of each to the other, and whether it is the mirrored one's."""
    one, same = _centred(images), _centred(other[None])
    contrast = np.minimum(np.abs(one).mean(axis=(1, 2, 3)), np.abs(same).mean())
    plain, mirrored = (np.abs(one - way).mean(axis=(1, 2, 3)) for way in (same, same[:, :, ::-1]))
    return np.minimum(plain, mirrored) / np.maximum(contrast, 1e-6), mirrored < plain  # candidates are not flat


def _centred(images: NDArray[np.uint8]) -> Floats:
    """float32 [N, 16, 16, 3] with each channel's mean taken off."""
    values = images.astype(np.float32)
    return np.asarray(values - values.mean(axis=(1, 2), keepdims=True), np.float32)
