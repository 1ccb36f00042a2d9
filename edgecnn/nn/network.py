"""A whole network: planning a list of layers, its table, and its torch module."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecnn.errors import UsageError, nearest
from edgecnn.geometry import Pair
from edgecnn.nn import archs
from edgecnn.nn.layers import Plan, plan_layers
from edgecnn.recipe.layers import Layer
from edgecnn.recipe.schema import Model

if TYPE_CHECKING:
    from torch import nn


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
class Network:
    """A planned network: named layers at a known input shape (C, H, W)."""

    input: tuple[int, int, int]
    layers: tuple[tuple[str, Plan], ...]

    @property
    def params(self) -> int:
        """Trained values."""
        return sum(plan.params for _, plan in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds for one picture."""
        return sum(plan.macs for _, plan in self.layers)

    def build(self) -> nn.Module:
        """The torch module: float [N, C, H, W], normalised as (pixel - 128) / 128, to logits [N, K]."""
        from edgecnn.nn.blocks import named

        return named([(name, plan.build()) for name, plan in self.layers])

    def rows(self) -> list[LayerRow]:
        """The table that `inspect` prints, the inner layers of blocks included."""
        field = Field((1, 1), (1, 1), (self.input[1], self.input[2]))
        rows, _ = _rows("", self.layers, field)
        return rows


def plan_network(model: Model, input_shape: tuple[int, int, int], classes: int) -> Network:
    """Plan a recipe's model for pictures [C, H, W] and `classes` classes; UsageError where layers don't fit."""
    layers = model.layers if model.layers is not None else named_architecture(model, classes, input_shape[1:])
    network = Network(input_shape, plan_layers(layers, input_shape))
    output = network.layers[-1][1].output
    if output != (classes,):
        raise UsageError(
            f"the net ends in {list(output)}, but the data has {classes} classes: end in dense: {{units: {classes}}}"
        )
    return network


def named_architecture(model: Model, classes: int, size: Pair) -> tuple[Layer, ...]:
    """The layers of a registered architecture for pictures of `size` (height, width); UsageError for unknown names.

    One file in nn/archs each, with a function `layers(classes, width, size)`.
    """
    names = [module.name for module in pkgutil.iter_modules(archs.__path__)]
    if model.arch not in names:
        raise UsageError(f"unknown architecture '{model.arch}'{nearest(str(model.arch), names)}")
    module = importlib.import_module(f"{archs.__name__}.{model.arch}")
    made: tuple[Layer, ...] = module.layers(classes, 1.0 if model.width is None else model.width, size)
    return made


@dataclass(frozen=True)
class Field:
    """How far one output value sees (`size`) and how far apart neighbours look (`jump`), in input pixels.

    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill (2019).
    """

    size: tuple[int, int]
    jump: tuple[int, int]
    image: tuple[int, int]

    def after(self, plan: Plan) -> Field:
        """The field behind one more layer; a layer without a window sees the whole picture."""
        if plan.window is None:
            return Field(self.image, self.jump, self.image)
        size = tuple(s + (w - 1) * j for s, w, j in zip(self.size, plan.window, self.jump, strict=True))
        jump = tuple(j * s for j, s in zip(self.jump, plan.stride, strict=True))
        return Field((size[0], size[1]), (jump[0], jump[1]), self.image)


def _rows(prefix: str, layers: Sequence[tuple[str, Plan]], field: Field) -> tuple[list[LayerRow], Field]:
    rows: list[LayerRow] = []
    for name, plan in layers:
        path = f"{prefix}{name}"
        if plan.inner:
            inside, after = _rows(f"{path}/", plan.inner, field)
            rows += inside
            if plan.shortcut is not None:
                rows += _rows(f"{path}/", [("shortcut", plan.shortcut)], field)[0]
            if plan.adds:
                rows.append(LayerRow(f"{path}/add", "add", plan.output, 0, 0, after.size))
            field = after
        else:
            field = field.after(plan)
            rows.append(LayerRow(path, plan.type, plan.output, plan.params, plan.macs, field.size))
    return rows, field
