"""The formulas behind a layer's figures, with its own numbers put in: what `inspect --explain` shows.

A layer's plan brings the arithmetic of its kind (a window that slides, a dense product, ...); a plan without one is
explained by its shapes and its window. In each formula: in, out: rows or columns; K kernel, S stride, P padding on each
side, D dilation, C channels of the input, F filters, G groups, M kernels a channel, U units, H and W the output's rows
and columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgecnn.geometry import Margins, Pace, Pair

NO_MARGINS = Margins(0, 0, 0, 0)


@dataclass(frozen=True)
class Formula:
    """One figure: in letters, with this layer's numbers, and what comes out."""

    what: str
    formula: str
    numbers: str
    result: str


@dataclass(frozen=True)
class Explanation:
    """How all of a layer's figures come about."""

    layer: str
    type: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    formulas: tuple[Formula, ...]


@dataclass(frozen=True)
class Given:
    """What is known of any layer: shapes without the batch, figures; the receptive fields and jumps around it."""

    input: tuple[int, ...]
    output: tuple[int, ...]
    params: int
    macs: int
    window: Pair | None
    stride: Pace
    sees_before: Pair
    jump_before: Pace
    sees: Pair
    jump: Pace


class Arithmetic(Protocol):
    """The arithmetic of one kind of layer."""

    def formulas(self, given: Given) -> Iterator[Formula]:
        """Its output's size, parameters and multiply-adds; what is the same for all kinds is added to them."""


def explained(layer: str, kind: str, arithmetic: Arithmetic | None, given: Given) -> Explanation:
    """All formulas of a layer; one without an arithmetic of its own is explained by what any layer has."""
    own = (arithmetic or Plain()).formulas(given)
    return Explanation(layer, kind, given.input, given.output, (*own, *_field(given), *_memory(given)))


@dataclass(frozen=True)
class Plain:
    """Any layer that has no formulas of its own: value by value, a sum, a whole channel's mean."""

    def formulas(self, given: Given) -> Iterator[Formula]:
        """Its figures as they are."""
        yield Formula("output", "", "", shown(given.output))
        yield Formula("parameters", "", "", str(given.params))
        yield Formula("MACs", "", "", str(given.macs))


@dataclass(frozen=True)
class Sliding:
    """Where a window falls. `padding` is the rule: same, valid, or explicit; ceil: the last one may hang over."""

    kernel: Pair
    stride: Pair
    padding: str
    margins: Margins = NO_MARGINS
    dilation: Pair = (1, 1)
    ceil: bool = False

    def sizes(self, given: Given) -> Iterator[Formula]:
        """The output's rows and columns, as one where they are worked out alike."""
        sides = [(self.margins.top, self.margins.bottom), (self.margins.left, self.margins.right)]
        axes = [
            tuple(self._axis(given.input[1 + i], given.output[1 + i], i, *sides[i])) for i in (0, 1)
        ]  # each: (what, letters, numbers, result)
        if axes[0] == axes[1]:
            axes = axes[:1]
        for axis, formulas in zip(("rows", "columns"), axes, strict=False):
            name = axis if len(axes) == 2 else "rows, columns"
            for what, letters, numbers, result in formulas:
                yield Formula(f"{what} {name}", letters, numbers, result)

    def _axis(self, size: int, out: int, i: int, before: int, after: int) -> Iterator[tuple[str, str, str, str]]:
        k, s, d = self.kernel[i], self.stride[i], self.dilation[i]
        spread, number = ("K", str(k)) if d == 1 else ("(D*(K - 1) + 1)", f"({d}*({k} - 1) + 1)")
        if self.padding == "same":
            yield "output", "ceil(in / S)", f"ceil({size} / {s})", str(out)
            numbers = f"max(({out} - 1)*{s} + {number} - {size}, 0)"
            yield "padding", f"max((out - 1)*S + {spread} - in, 0)", numbers, str(before + after)
            numbers = f"floor(({size} - {number} + {before + after}) / {s}) + 1"
            yield "so again", f"floor((in - {spread} + padding) / S) + 1", numbers, str(out)
            return
        rounded = "ceil" if self.ceil else "floor"
        numbers = f"{rounded}(({size} - {number} + 2*{before}) / {s}) + 1"
        yield "output", f"{rounded}((in - {spread} + 2P) / S) + 1", numbers, str(out)


@dataclass(frozen=True)
class Pooling(Sliding):
    """A window of which one value is made: nothing is trained, nothing multiplied."""

    def formulas(self, given: Given) -> Iterator[Formula]:
        """The output's size."""
        yield from self.sizes(given)
        yield Formula("parameters", "", "", "0")
        yield Formula("MACs", "", "", "0")


@dataclass(frozen=True)
class Convolving(Sliding):
    """A convolution; with as many groups as channels, a depthwise one."""

    groups: int = 1
    bias: bool = True
    batch_norm: bool = False

    def formulas(self, given: Given) -> Iterator[Formula]:
        """F filters of K*K*C weights, each used at every place of the output."""
        yield from self.sizes(given)
        (rows, columns), channels, filters = self.kernel, given.input[0], given.output[0]
        square = "K*K" if rows == columns else "Kh*Kw"
        weights, numbers = f"{square}*C", f"{rows}*{columns}*{channels}"
        if self.groups > 1:
            weights, numbers = f"{square}*C/G", f"{rows}*{columns}*{channels}/{self.groups}"
        if self.groups == channels > 1:
            weights, numbers = square, f"{rows}*{columns}"
        more = _more("F", str(filters), self.bias, self.batch_norm)
        yield Formula("parameters", f"F*({weights}){more[0]}", f"{filters}*({numbers}){more[1]}", str(given.params))
        _, height, width = given.output
        yield Formula("MACs", f"H*W*{weights}*F", f"{height}*{width}*{numbers}*{filters}", str(given.macs))


@dataclass(frozen=True)
class Transposing:
    """A transposed convolution: each value of the input spreads over K*K of the output, S apart."""

    kernel: Pair
    stride: Pair
    padding: str
    bias: bool = True
    batch_norm: bool = False

    def formulas(self, given: Given) -> Iterator[Formula]:
        """F filters of K*K*C weights, each used at every place of the input."""
        for i, axis in enumerate(("rows", "columns")):
            size, out, k, s = given.input[1 + i], given.output[1 + i], self.kernel[i], self.stride[i]
            if self.padding == "same":
                yield Formula(f"output {axis}", "in*S", f"{size}*{s}", str(out))
            else:
                yield Formula(f"output {axis}", "(in - 1)*S + K", f"({size} - 1)*{s} + {k}", str(out))
        (rows, columns), (channels, height, width) = self.kernel, given.input
        filters, square = given.output[0], "K*K" if rows == columns else "Kh*Kw"
        more, numbers = _more("F", str(filters), self.bias, self.batch_norm), f"{rows}*{columns}*{channels}"
        yield Formula("parameters", f"F*({square}*C){more[0]}", f"{filters}*({numbers}){more[1]}", str(given.params))
        yield Formula("MACs", f"in*in*{square}*C*F", f"{height}*{width}*{numbers}*{filters}", str(given.macs))


@dataclass(frozen=True)
class Separated:
    """A depthwise convolution and then a pointwise one. `between`: what the first gives to the second."""

    spatial: Convolving
    pointwise: Convolving
    between: tuple[int, ...]

    def formulas(self, given: Given) -> Iterator[Formula]:
        """Both, and their sums."""
        (rows, columns), channels, filters = self.spatial.kernel, given.input[0], given.output[0]
        between, height, width = self.between
        square = "K*K" if rows == columns else "Kh*Kw"
        made, number = ("C", str(channels)) if between == channels else ("C*M", f"{channels}*{between // channels}")
        yield from self.spatial.sizes(given)
        more = _more("F", str(filters), self.pointwise.bias, self.pointwise.batch_norm)
        numbers = f"{number}*({rows}*{columns}) + {filters}*{number}{more[1]}"
        yield Formula("parameters", f"{made}*({square}) + F*{made}{more[0]}", numbers, str(given.params))
        numbers = f"{height}*{width}*{number}*({rows}*{columns} + {filters})"
        yield Formula("MACs", f"H*W*{made}*({square} + F)", numbers, str(given.macs))


@dataclass(frozen=True)
class Multiplying:
    """A dense layer over features; over a map, at each of its places."""

    features: int
    bias: bool = True
    batch_norm: bool = False

    def formulas(self, given: Given) -> Iterator[Formula]:
        """U units of C weights."""
        units = given.macs // max(1, self.features * self._places(given))
        more = _more("U", str(units), self.bias, self.batch_norm)
        yield Formula("output", "", "", shown(given.output))
        yield Formula("parameters", f"U*C{more[0]}", f"{units}*{self.features}{more[1]}", str(given.params))
        places = self._places(given)
        at, number = ("", "") if places == 1 else ("places*", f"{places}*")
        yield Formula("MACs", f"{at}C*U", f"{number}{self.features}*{units}", str(given.macs))

    def _places(self, given: Given) -> int:
        return max(1, math.prod(given.input) // self.features)


@dataclass(frozen=True)
class Normalising:
    """Batch norm by itself: a factor and a summand for each channel."""

    def formulas(self, given: Given) -> Iterator[Formula]:
        """What is trained."""
        yield Formula("output", "", "", shown(given.output))
        yield Formula("parameters", "2*C", f"2*{given.input[0]}", str(given.params))
        yield Formula("MACs", "", "", "0")


@dataclass(frozen=True)
class Flattening:
    """A map as one row of features."""

    def formulas(self, given: Given) -> Iterator[Formula]:
        """How many."""
        yield Formula("output", "C*H*W", "*".join(map(str, given.input)), str(given.output[0]))
        yield Formula("parameters", "", "", "0")
        yield Formula("MACs", "", "", "0")


def shown(shape: Sequence[int]) -> str:
    """CxHxW."""
    return "x".join(map(str, shape))


def _more(letter: str, number: str, bias: bool, batch_norm: bool) -> tuple[str, str]:
    """What a weighted layer adds: a bias, and batch norm's factor and summand, for each filter or unit."""
    letters, numbers = (f" + {letter}", f" + {number}") if bias else ("", "")
    if batch_norm:
        letters, numbers = f"{letters} + 2*{letter}", f"{numbers} + 2*{number}"
    return letters, numbers


def _field(given: Given) -> Iterator[Formula]:
    """How the receptive field and the stride have grown: r and j before it, its window as far as it reaches."""
    if given.window is None:
        yield Formula("receptive field", "the whole picture", "", shown(given.sees))
    for i, axis in enumerate(("rows", "columns")):
        if i and all(pair[0] == pair[1] for pair in _squares(given)):
            return
        name = "" if all(pair[0] == pair[1] for pair in _squares(given)) else f", {axis}"
        if given.window is not None:
            numbers = f"{given.sees_before[i]} + ({given.window[i]} - 1)*{given.jump_before[i]}"
            letters = "r + (K - 1)*j"
            if (given.window[i] - 1) * given.jump_before[i] % 1:
                letters, numbers = f"ceil({letters})", f"ceil({numbers})"
            yield Formula(f"receptive field{name}", letters, numbers, str(given.sees[i]))
        numbers = f"{given.jump_before[i]}*{given.stride[i]}"
        yield Formula(f"stride{name}", "j*S", numbers, str(given.jump[i]))


def _squares(given: Given) -> tuple[Pace, ...]:
    return given.window or (1, 1), given.stride, given.sees_before, given.jump_before, given.sees, given.jump


def _memory(given: Given) -> Iterator[Formula]:
    values = "*".join(map(str, given.output))
    letters = "F*H*W" if len(given.output) == 3 else "values"
    yield Formula("bytes, int8", letters, values, str(math.prod(given.output)))
    yield Formula("bytes, fp32", f"4*{letters}", f"4*{values}", str(4 * math.prod(given.output)))
