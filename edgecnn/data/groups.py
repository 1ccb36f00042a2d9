"""Which pictures must stay on one side of a split: near-duplicates, shots of a burst, and what these chain together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Group = tuple[int, ...]
"""Places of pictures, ascending."""


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> tuple[Group, ...]:
    """The connected components of `count` pictures, by their first places; a picture in no pair is one by itself.

    Union by a path to the smallest member (Tarjan 1975, with path halving).
    """
    parents = list(range(count))

    def first(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for one, other in pairs:
        low, high = sorted((first(one), first(other)))
        parents[high] = low
    members: dict[int, list[int]] = {}
    for place in range(count):
        members.setdefault(first(place), []).append(place)
    return tuple(tuple(group) for group in members.values())


def divided(groups: Sequence[Group], splits: Sequence[str]) -> tuple[Group, ...]:
    """The groups that lie in more than one split, by the split of each picture: none, where a split is honest."""
    return tuple(group for group in groups if len({splits[place] for place in group}) > 1)
