"""A whole network: planning a list of layers, its table, and its torch module."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgecnn.errors import UsageError, nearest
from edgecnn.geometry import Pair
from edgecnn.nn import archs
from edgecnn.nn.layers import Plan, plan_layers
from edgecnn.nn.table import Field, LayerRow
from edgecnn.recipe.layers import Layer
from edgecnn.recipe.schema import Model

if TYPE_CHECKING:
    from torch import nn


class Network(Protocol):
    """What a recipe's model is, before it is built: input (C, H, W), trained values, multiply-adds of one picture."""

    @property
    def input(self) -> tuple[int, int, int]: ...
    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int: ...

    def build(self) -> nn.Module:
        """The torch module: float [N, C, H, W], normalised as (pixel - 128) / 128, to logits [N, K]."""

    def rows(self) -> list[LayerRow]:
        """The table that `inspect` prints."""


@dataclass(frozen=True)
class LayeredNetwork:
    """A network planned from layers: named layers at a known input shape (C, H, W)."""

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
        field = Field.at((self.input[1], self.input[2]))
        rows, _ = _rows("", self.layers, field)
        return rows


def plan_network(model: Model, input_shape: tuple[int, int, int], classes: int) -> Network:
    """Plan a recipe's model for pictures [C, H, W] and `classes` classes; UsageError where layers don't fit."""
    if model.torchvision is not None:
        from edgecnn.nn.torchvision import TorchvisionNetwork

        return TorchvisionNetwork.planned(model.torchvision, input_shape, classes)
    layers = model.layers if model.layers is not None else named_architecture(model, classes, input_shape[1:])
    network = LayeredNetwork(input_shape, plan_layers(layers, input_shape))
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
            field = field.after(plan.window, plan.stride)
            rows.append(LayerRow(path, plan.type, plan.output, plan.params, plan.macs, field.size))
    return rows, field
