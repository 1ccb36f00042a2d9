"""Classifiers of other libraries by their names there: how they are planned, built and told what pixels to expect."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from edgecnn.errors import UsageError, reason
from edgecnn.nn.deployable import FloatIsland
from edgecnn.nn.table import LayerRow, Step

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
"""Channels, height and width of a picture."""


@dataclass(frozen=True)
class Statistics:
    """What trained weights want to see: (pixel / 255 - mean) / std, a number a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Library(Protocol):
    """A module of this room, called after its library. All raise UsageError for unknown names, MissingExtra."""

    def build(self, name: str, shape: Shape, classes: int) -> nn.Module:
        """The network with its library's own first weights, without a network connection."""

    def statistics(self, name: str, channels: int) -> Statistics:
        """What its trained weights want; UsageError where there are none."""

    def trained(self, name: str, shape: Shape) -> nn.Module:
        """With trained weights and the classes that they know, downloaded where they are not kept yet."""


def library(name: str) -> Library:
    """One of recipe.schema.LIBRARIES."""
    return cast(Library, importlib.import_module(f"{__package__}.{name}"))


@dataclass(frozen=True)
class LibraryNetwork:
    """A classifier of a library's at a known input shape."""

    library: str
    name: str
    input: Shape
    classes: int
    table: tuple[Step, ...]
    params: int
    """Trained values, those of rows and all others (a layer's scale that is its own)."""
    wants: Statistics | None = None
    """What a first layer brings our pixels to; None leaves them (pixel - 128) / 128."""

    @classmethod
    def planned(
        cls, origin: str, name: str, shape: Shape, classes: int, wants: Statistics | None = None
    ) -> LibraryNetwork:
        """Followed through over shapes alone; UsageError for unknown names and pictures that don't fit."""
        import torch

        from edgecnn.nn.followed import followed

        module = _without_values(lambda: _built(origin, name, shape, classes, wants)).eval()
        try:
            with torch.device("meta"):
                answer, steps = followed(module, shape)
        except Exception as error:  # whatever the library's own code says to pictures that it doesn't take
            raise _not_taken(origin, name, shape, error) from error
        if answer != (classes,):
            raise UsageError(f"{origin}'s {name} is no classifier that can be given {classes} classes")
        return cls(origin, name, shape, classes, steps, sum(value.numel() for value in module.parameters()), wants)

    @property
    def macs(self) -> int:
        """Multiply-adds for one picture."""
        return sum(step.macs for step in self.table)

    def build(self) -> nn.Module:
        """With the library's own first weights, and the first layer where pixels are wanted otherwise."""
        return _built(self.library, self.name, self.input, self.classes, self.wants)

    def steps(self) -> list[Step]:
        """Convolutions, dense layers, norms, pools, and where branches meet; activations are left out."""
        return list(self.table)

    def islands(self) -> tuple[FloatIsland, ...]:
        """None that are known before export: these libraries' classifiers have no L2 or stochastic pools."""
        return ()

    def rows(self) -> list[LayerRow]:
        """The table that `inspect` prints."""
        return [step.row for step in self.table]


def _built(origin: str, name: str, shape: Shape, classes: int, wants: Statistics | None) -> nn.Module:
    module = library(origin).build(name, shape, classes)
    if wants is None:
        return module
    from edgecnn.nn.normalise import put_in_front

    return put_in_front(module, wants.mean, wants.std)


def _without_values(build: Callable[[], nn.Module]) -> nn.Module:
    """Built on the meta device, or brought there where its code looks at values as it builds."""
    import torch

    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build().to("meta")


def _not_taken(origin: str, name: str, shape: Shape, error: Exception) -> UsageError:
    what = "grey pictures" if shape[0] == 1 else "pictures"
    return UsageError(f"{origin}'s {name} does not take {what} of {shape[1]}x{shape[2]}: {reason(error)}")
