"""What can't be said in int8: the layers that an int8 file computes in float, and where a recipe has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecnn.nn.layers.plan import Plan

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class FloatIsland:
    """A layer, named as in the table of `inspect`, and the word that no format has in int8.

    place: its keys in the recipe, from `layers:` on.
    """

    layer: str
    word: str
    place: Place


def float_islands(layers: Sequence[tuple[str, Plan]], prefix: str = "", place: Place = ()) -> tuple[FloatIsland, ...]:
    """All of planned layers, those inside of blocks included."""
    return tuple(_islands(layers, prefix, place))


def _islands(layers: Sequence[tuple[str, Plan]], prefix: str, place: Place) -> Iterator[FloatIsland]:
    for i, (name, plan) in enumerate(layers):
        path, here = f"{prefix}{name}", (*place, i, plan.type)
        if plan.island:
            yield FloatIsland(path, plan.island, here)
        yield from _islands(plan.inner, f"{path}/", (*here, "layers"))
        for number, branch in enumerate(plan.branches):
            yield from _islands(branch, f"{path}/branch{number + 1}/", (*here, "branches", number))
        if plan.shortcut is not None:
            yield from _islands([("shortcut", plan.shortcut)], f"{path}/", (*here, "shortcut"))
