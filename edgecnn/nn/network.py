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
from edgecnn.nn.deployable import FloatIsland, float_islands
from edgecnn.nn.layers import Plan, plan_layers
from edgecnn.nn.library import LibraryNetwork, Statistics
from edgecnn.nn.table import PICTURE, Field, LayerRow, Step
from edgecnn.recipe.layers import Layer
from edgecnn.recipe.schema import LIBRARIES, Model

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

    def steps(self) -> list[Step]:
        """Its layers in the order of their computation."""

    def rows(self) -> list[LayerRow]:
        """The table that `inspect` prints."""

    def islands(self) -> tuple[FloatIsland, ...]:
        """Its layers that have no int8 form."""


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

    def steps(self) -> list[Step]:
        """Its layers in the order of their computation, the inner layers of blocks in their places."""
        picture = _Value(PICTURE, self.input, Field.at((self.input[1], self.input[2])))
        return _steps("", self.layers, picture)[0]

    def rows(self) -> list[LayerRow]:
        """The table that `inspect` prints, the inner layers of blocks included."""
        return [step.row for step in self.steps()]

    def islands(self) -> tuple[FloatIsland, ...]:
        """Its layers that have no int8 form."""
        return float_islands(self.layers)


def plan_network(model: Model, input_shape: tuple[int, int, int], classes: int) -> Network:
    """Plan a recipe's model for pictures [C, H, W] and `classes` classes; UsageError where layers don't fit."""
    if model.kind in LIBRARIES:
        return LibraryNetwork.planned(
            model.kind, getattr(model, model.kind), input_shape, classes, _statistics(model, input_shape[0])
        )
    layers = model.layers if model.layers is not None else named_architecture(model, classes, input_shape[1:])
    network = LayeredNetwork(input_shape, plan_layers(layers, input_shape))
    if model.fully_convolutional:
        _check_fully_convolutional(network)
    output = network.layers[-1][1].output
    if output != (classes,):
        raise UsageError(
            f"the net ends in {list(output)}, but the data has {classes} classes: end in dense: {{units: {classes}}}"
        )
    return network


def _check_fully_convolutional(network: LayeredNetwork) -> None:
    """UsageError for a net that does not end in a mean over all places and one dense layer, which can change places."""
    kinds = [plan.type for _, plan in network.layers if plan.type not in ("dropout", "spatial_dropout")]
    if kinds[-2:] != ["global_average_pool", "dense"]:
        raise UsageError(
            f"fully_convolutional: the net ends in {', '.join(kinds[-2:])}; it must end in global_average_pool and one "
            "dense layer"
        )
    for name, plan in network.layers[:-2]:
        if plan.type in ("fractional_max_pool", "flatten", "dense"):
            raise UsageError(f"fully_convolutional: {name} ({plan.type}) works at one size only")


def _statistics(model: Model, channels: int) -> Statistics | None:
    if model.mean is None or model.std is None:
        return None
    if len(model.mean) != channels:
        raise UsageError(f"mean and std have {len(model.mean)} numbers, and the pictures {channels} channels")
    return Statistics(model.mean, model.std)


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
class _Value:
    """What lies between layers: the name of the layer that made it, its shape, how far it sees."""

    name: str
    shape: tuple[int, ...]
    field: Field


def _steps(prefix: str, layers: Sequence[tuple[str, Plan]], value: _Value) -> tuple[list[Step], _Value]:
    """Layers one after the other from `value` on, and what the last of them makes."""
    steps: list[Step] = []
    for name, plan in layers:
        path = f"{prefix}{name}"
        if plan.branches:
            made, value = _joined(path, plan, value)
        else:
            made, value = _block(path, plan, value) if plan.inner else _layer(path, plan, value)
        steps += made
    return steps, value


def _block(path: str, plan: Plan, value: _Value) -> tuple[list[Step], _Value]:
    steps, body = _steps(f"{path}/", plan.inner, value)
    skipped = value
    if plan.shortcut is not None:
        made, skipped = _steps(f"{path}/", [("shortcut", plan.shortcut)], value)
        steps += made
    if not (plan.adds or plan.gates):
        return steps, body
    kind = "add" if plan.adds else "mul"
    return _meeting(f"{path}/{kind}", kind, plan, steps, [body, skipped])


def _joined(path: str, plan: Plan, value: _Value) -> tuple[list[Step], _Value]:
    steps: list[Step] = []
    ends: list[_Value] = []
    for number, branch in enumerate(plan.branches, start=1):
        made, end = _steps(f"{path}/branch{number}/", branch, value)
        steps += made
        ends.append(end)
    return _meeting(path, plan.type, plan, steps, ends)


def _meeting(name: str, kind: str, plan: Plan, steps: list[Step], ends: list[_Value]) -> tuple[list[Step], _Value]:
    """The last step of a block, where several values meet: it sees what the widest of them sees."""
    field = ends[0].field.joined(end.field for end in ends[1:])
    made = Step(name, kind, tuple(end.name for end in ends), ends[0].shape, plan.output, 0, 0, field, field)
    return [*steps, made], _Value(name, plan.output, field)


def _layer(path: str, plan: Plan, value: _Value) -> tuple[list[Step], _Value]:
    after = value.field.after(plan.window, plan.stride)
    step = Step(
        path,
        plan.type,
        (value.name,),
        value.shape,
        plan.output,
        plan.params,
        plan.macs,
        value.field,
        after,
        plan.window,
        plan.stride,
        plan.in_place,
        plan.arithmetic,
    )
    return [step], _Value(path, plan.output, after)
