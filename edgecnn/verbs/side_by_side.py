"""`edgecnn inspect A B`: two networks beside each other, each a recipe, a run or a model file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgecnn.nn.memory import ActivationBytes
from edgecnn.verbs.inspect import inspect


class Row(Protocol):
    """What a layer of a network and an operation of a file have in common."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def output(self) -> tuple[int, ...]: ...
    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int: ...
    @property
    def activation_bytes_int8(self) -> int: ...


@dataclass(frozen=True)
class Side:
    """One of the two as a whole. `given` is what was asked for."""

    given: str
    name: str
    input: tuple[int, ...]
    layers: int
    params: int
    macs: int
    peak_activation_bytes: ActivationBytes


@dataclass(frozen=True)
class Half:
    """A layer on one side."""

    type: str
    output: tuple[int, ...]
    params: int
    macs: int
    activation_bytes_int8: int


@dataclass(frozen=True)
class Pairing:
    """Layers of one name; None where only the other side has it. `same`: in all that is shown."""

    name: str
    a: Half | None
    b: Half | None

    @property
    def same(self) -> bool:
        return self.a == self.b


@dataclass(frozen=True)
class Difference:
    """One figure of both; `difference` is b - a, `ratio` b / a, None where a is 0."""

    what: str
    a: int
    b: int
    difference: int
    ratio: float | None


@dataclass(frozen=True)
class SideBySide:
    """Two networks: their layers in the order of computation, paired by name, and what their totals differ by."""

    a: Side
    b: Side
    layers: tuple[Pairing, ...]
    differences: tuple[Difference, ...]
    schema: str = "edgecnn.inspect/1"


def side_by_side(
    a: Path | str, b: Path | str, *, data_dir: Path | None = None, runtime: str | None = None
) -> SideBySide:
    """Two of what `inspect` takes. RecipeError, UsageError, UnusableFile as there."""
    sides, rows = [], []
    for given in (a, b):
        found = inspect(given, data_dir=data_dir, runtime=runtime)
        layers: Sequence[Row] = found.layers
        rows.append(layers)
        sides.append(
            Side(
                str(given), found.name, found.input, len(layers), found.params, found.macs, found.peak_activation_bytes
            )
        )
    return SideBySide(sides[0], sides[1], tuple(_paired(*rows)), tuple(_differences(*sides)))


def _paired(a: Sequence[Row], b: Sequence[Row]) -> Iterator[Pairing]:
    """Both lists in their own orders, longest common runs of names beside each other."""
    names = [row.name for row in a], [row.name for row in b]
    for found, i, i_end, j, j_end in difflib.SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        if found == "equal":
            for left, right in zip(a[i:i_end], b[j:j_end], strict=True):
                yield Pairing(left.name, _half(left), _half(right))
            continue
        yield from (Pairing(row.name, _half(row), None) for row in a[i:i_end])
        yield from (Pairing(row.name, None, _half(row)) for row in b[j:j_end])


def _half(row: Row) -> Half:
    return Half(row.type, row.output, row.params, row.macs, row.activation_bytes_int8)


def _differences(a: Side, b: Side) -> Iterator[Difference]:
    figures = {
        "layers": (a.layers, b.layers),
        "params": (a.params, b.params),
        "macs": (a.macs, b.macs),
        "peak_activation_bytes_int8": (a.peak_activation_bytes.int8, b.peak_activation_bytes.int8),
        "peak_activation_bytes_fp32": (a.peak_activation_bytes.fp32, b.peak_activation_bytes.fp32),
    }
    for what, (left, right) in figures.items():
        yield Difference(what, left, right, right - left, right / left if left else None)
