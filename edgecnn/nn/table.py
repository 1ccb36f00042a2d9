"""The table that `inspect` prints of a network: a row a layer, and how far each of its values sees."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgecnn.errors import UsageError, nearest
from edgecnn.geometry import Pace, Pair
from edgecnn.nn.arithmetic import Arithmetic, Explanation, Given, explained
from edgecnn.nn.memory import ActivationBytes, Use, peak_values

PICTURE = "picture"
"""The name by which layers say that they read the picture itself; no layer's name is without a place or a parent."""


@dataclass(frozen=True)
class LayerRow:
    """One line of `inspect`: shapes without the batch; receptive field and stride in input pixels (rows, columns).

    stride: how far apart neighbouring values look, the product of all strides up to here, and a share of a pixel
    where a picture was made larger. activation_bytes: what its output takes. inputs: the names of the layers that
    it reads, `picture` for the picture.
    """

    name: str
    type: str
    output: tuple[int, ...]
    params: int
    macs: int
    receptive_field: tuple[int, int]
    stride: tuple[float, float]
    activation_bytes_int8: int
    activation_bytes_fp32: int
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """How far one output value sees (`size`) and how far apart neighbours look (`jump`), in input pixels.

    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill (2019).
    """

    size: tuple[int, int]
    jump: Pace
    image: tuple[int, int]

    @classmethod
    def at(cls, image: Pair) -> Field:
        """That of the picture itself, [H, W]."""
        return cls((1, 1), (1, 1), image)

    def after(self, window: Pair | None, stride: Pace) -> Field:
        """The field behind one more layer; a layer without a window sees the whole picture."""
        if window is None:
            return Field(self.image, self.jump, self.image)
        size = tuple(s + math.ceil((w - 1) * j) for s, w, j in zip(self.size, window, self.jump, strict=True))
        jump = tuple(j * s for j, s in zip(self.jump, stride, strict=True))
        return Field((size[0], size[1]), (jump[0], jump[1]), self.image)

    @property
    def pace(self) -> tuple[float, float]:
        """`jump` in plain numbers, whole ones as such."""
        rows, columns = (int(j) if j == int(j) else float(j) for j in self.jump)
        return rows, columns

    def joined(self, others: Iterable[Field]) -> Field:
        """The field of what several branches are joined to: the widest of them."""
        fields = (self, *others)
        size = tuple(max(sizes) for sizes in zip(*(field.size for field in fields), strict=True))
        jump = tuple(max(jumps) for jumps in zip(*(field.jump for field in fields), strict=True))
        return Field((size[0], size[1]), (jump[0], jump[1]), self.image)


@dataclass(frozen=True)
class Step:
    """One layer where it stands in a network: what it makes of which layers' outputs, and how its figures come about.

    before, after: the receptive field in front of and behind it. in_place: it may write over its input.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    given: tuple[int, ...]
    output: tuple[int, ...]
    params: int
    macs: int
    before: Field
    after: Field
    window: Pair | None = (1, 1)
    stride: Pace = (1, 1)
    in_place: bool = False
    arithmetic: Arithmetic | None = None

    @property
    def row(self) -> LayerRow:
        """Its line in the table."""
        taken = ActivationBytes.of(math.prod(self.output))
        return LayerRow(
            self.name,
            self.type,
            self.output,
            self.params,
            self.macs,
            self.after.size,
            self.after.pace,
            taken.int8,
            taken.fp32,
            self.inputs,
        )


def peak(picture: Sequence[int], steps: Sequence[Step]) -> ActivationBytes:
    """The most that the activations of one picture [C, H, W] take at once; memory.peak_values says what counts."""
    uses = [Use(step.inputs, step.name, math.prod(step.output), step.in_place) for step in steps]
    return ActivationBytes.of(peak_values([(PICTURE, math.prod(picture))], uses))


def explain(steps: Sequence[Step], name: str) -> Explanation:
    """A layer's formulas with its own numbers; UsageError with the nearest name where there is no such layer."""
    found = {step.name: step for step in steps}
    if name not in found:
        raise UsageError(f"there is no layer '{name}'{nearest(name, found)}")
    step = found[name]
    given = Given(
        step.given, step.output, step.params, step.macs, step.window, step.stride, step.before.size, step.before.jump,
        step.after.size, step.after.jump,
    )  # fmt: skip
    return explained(name, step.type, step.arithmetic, given)
