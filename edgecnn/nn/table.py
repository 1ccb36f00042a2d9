"""The table that `inspect` prints of a network: a row a layer, and how far each of its values sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgecnn.geometry import Pair


@dataclass(frozen=True)
class LayerRow:
    """One line of `inspect`: shapes without the batch, the receptive field in input pixels (rows, columns)."""

    name: str
    type: str
    output: tuple[int, ...]
    params: int
    macs: int
    receptive_field: tuple[int, int]


@dataclass(frozen=True)
class Field:
    """How far one output value sees (`size`) and how far apart neighbours look (`jump`), in input pixels.

    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill (2019).
    """

    size: tuple[int, int]
    jump: tuple[int, int]
    image: tuple[int, int]

    @classmethod
    def at(cls, image: Pair) -> Field:
        """That of the picture itself, [H, W]."""
        return cls((1, 1), (1, 1), image)

    def after(self, window: Pair | None, stride: Pair) -> Field:
        """The field behind one more layer; a layer without a window sees the whole picture."""
        if window is None:
            return Field(self.image, self.jump, self.image)
        size = tuple(s + (w - 1) * j for s, w, j in zip(self.size, window, self.jump, strict=True))
        jump = tuple(j * s for j, s in zip(self.jump, stride, strict=True))
        return Field((size[0], size[1]), (jump[0], jump[1]), self.image)

    def joined(self, others: Iterable[Field]) -> Field:
        """The field of what several branches are joined to: the widest of them."""
        fields = (self, *others)
        size = tuple(max(sizes) for sizes in zip(*(field.size for field in fields), strict=True))
        jump = tuple(max(jumps) for jumps in zip(*(field.jump for field in fields), strict=True))
        return Field((size[0], size[1]), (jump[0], jump[1]), self.image)
