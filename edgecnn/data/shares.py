"""Train, val and test for pictures that come without: no near-duplicates and no burst on two sides.

What must stay together is a group (groups.py). Of each class about an eighth goes to val and to test each, in whole
groups, the smallest first, so that the biggest are trained on. Which ones is drawn by the files' content: neither their
names nor their order matter, and pictures that are added later move few of the others.

A camera that doesn't move makes near-duplicates of everything it sees, and one that records all the time makes one
burst of it: nothing would be left to split. Then bursts are cut, and only what is nearer counts, down to the last of
LIMITS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.duplicates import APART, Pair, pairs_within
from edgecnn.data.groups import Group, connected
from edgecnn.data.shots import CUT_S, bursts
from edgecnn.data.survey import Survey
from edgecnn.errors import UnusableFile
from edgecnn.storage import sha256

SHARE = 0.125
"""Of each class, for val and for test each."""
ENOUGH = 5
"""Pictures of a class in val and in test, where it has so many: one more or less is 20 points of its accuracy."""
FEWEST = 10
"""Pictures that a class needs."""
TRAINED = 1 / 3
"""The least share of a class that is left to train on, however few and big its groups are."""
LIMITS = (APART, APART / 2, APART / 4, APART / 8)
"""Distances up to which pictures are near-duplicates: the first that leaves val and test ENOUGH, or any, is taken."""
HELD = ("test", "val")

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Shares:
    """splits: each picture's. groups: those of two pictures and more that stay together. pairs: the near-duplicates
    among them, up to `limit`. bursts: pairs of shots that follow each other, in bursts of `longest_s` seconds at most.
    """

    splits: tuple[str, ...]
    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    bursts: tuple[tuple[int, int], ...]
    limit: float
    longest_s: float = math.inf


def share_out(survey: Survey, labels: Sequence[str]) -> Shares:
    """Split the pictures. Raises UnusableFile, naming every class that has too few, or too few that differ."""
    classes = survey.files.classes
    counts = np.bincount(classes, minlength=len(labels))
    few = [f"{label} has {count}" for label, count in zip(labels, counts.tolist(), strict=True) if count < FEWEST]
    if few:
        raise UnusableFile(
            f"too few pictures: {', '.join(few)}, and a class needs at least {FEWEST} to be trained and measured on; "
            "add some, or take the class out"
        )
    any_at_all: Shares | None = None
    for shares in _tries(survey):
        held = _least_held(shares.splits, classes, counts)
        if (held >= np.minimum(ENOUGH, counts // 4)).all():
            return shares
        if any_at_all is None and held.all():
            any_at_all = shares
    if any_at_all is None:
        raise UnusableFile(_too_alike(shares, classes, [(i, labels[i]) for i in np.flatnonzero(held == 0).tolist()]))
    return any_at_all


def split_groups(groups: Sequence[Group], classes: Counts, contents: Sequence[str]) -> tuple[str, ...]:
    """The split of each picture, of its class and with the hash of its content; groups stay whole.

    The classes with the fewest pictures take first, val and test in turns, until each has its share. A group that
    would make that more than twice the share is left, but where it is the first; and so is one without which less than
    TRAINED of a class would be left to train on. So a class may get none.
    """
    counts = np.bincount(classes)
    sizes = [np.bincount(classes[list(group)], minlength=len(counts)) for group in groups]
    orders = {split: _order(split, groups, contents) for split in HELD}
    held = {split: np.zeros_like(counts) for split in HELD}
    given: dict[int, str] = {}

    def fits(number: int, split: str) -> bool:
        """Once it doesn't, it never will."""
        size, left = sizes[number], counts - sum(held.values()) - sizes[number]
        small = (held[split] + size <= 2 * wanted(counts)) | (held[split] == 0)
        return bool((small & (left >= TRAINED * counts))[size > 0].all())

    for label in np.argsort(counts, kind="stable").tolist():
        coming = {split: iter([number for number in orders[split] if sizes[number][label]]) for split in HELD}
        while coming:
            split = min(coming, key=lambda name: int(held[name][label]))
            full = held[split][label] >= wanted(counts)[label]
            chosen = (number for number in coming[split] if number not in given and fits(number, split))
            number = None if full else next(chosen, None)
            if number is None:
                del coming[split]
            else:
                given[number] = split
                held[split] += sizes[number]
    of_place = {place: split for number, split in given.items() for place in groups[number]}
    return tuple(of_place.get(place, "train") for place in range(len(classes)))


def wanted(counts: Counts) -> Counts:
    """How many pictures of each class val should have, and test: its share, at least ENOUGH, at most a quarter."""
    share = np.rint(SHARE * counts).astype(np.int64)
    limited: Counts = np.minimum(np.maximum(share, ENOUGH), counts // 4)
    return limited


def _tries(survey: Survey) -> Iterator[Shares]:
    """The split at each limit."""
    contents = [seen.sha256 for seen in survey.seen]
    first: dict[str, int] = {}
    same = [(first.setdefault(content, place), place) for place, content in enumerate(contents)]
    near = pairs_within(survey.thumbnails)
    for limit, longest_s in ((APART, math.inf), *((limit, CUT_S) for limit in LIMITS)):
        together = tuple(bursts([seen.shots for seen in survey.seen], longest_s))
        pairs = tuple(pair for pair in near if pair.distance <= limit)
        groups = connected(len(contents), [*same, *together, *((pair.a, pair.b) for pair in pairs)])
        splits = split_groups(groups, survey.files.classes, contents)
        yield Shares(splits, tuple(group for group in groups if len(group) > 1), pairs, together, limit, longest_s)


def _order(split: str, groups: Sequence[Group], contents: Sequence[str]) -> list[int]:
    """The groups as this split chooses among them: the smallest first, those of a size by chance."""
    chance = [min(sha256(f"{split} {contents[place]}".encode()) for place in group) for group in groups]
    return sorted(range(len(groups)), key=lambda number: (len(groups[number]), chance[number]))


def _least_held(splits: Sequence[str], classes: Counts, counts: Counts) -> Counts:
    """Of each class the pictures in val or in test, where there are fewer."""
    named = np.array(splits)
    held = [np.bincount(classes[named == split], minlength=len(counts)) for split in HELD]
    fewer: Counts = np.minimum(*held)
    return fewer


def _too_alike(shares: Shares, classes: Counts, short: Sequence[tuple[int, str]]) -> str:
    """What is wrong with the classes that have none in val or test."""
    said = []
    for number, label in short:
        members = set(np.flatnonzero(classes == number).tolist())
        groups = [members.intersection(group) for group in shares.groups]
        kinds = len(members) - sum(map(len, groups)) + sum(map(bool, groups))
        said.append(f"the {len(members)} pictures of {label} come down to {kinds}")
    return (
        f"too much alike: {', '.join(said)}, where near-duplicates and the shots of a burst count as one: train, val "
        "and test need at least one each that the others don't have; add pictures taken at other times and places"
    )
