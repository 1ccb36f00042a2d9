"""Blocks whose input goes several ways: branches joined along the channels, and channels weighted by a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
from edgecnn.nn.layers.convolutions import conv
from edgecnn.nn.layers.plan import Plan, Shape, picture, plan_layers, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


@plans(words.Concat)
def concat(word: words.Concat, shape: Shape) -> Plan:
    """The branches' channels, one after the other; rows and columns must agree."""
    picture(shape, "concat")
    branches = tuple(_branch(number, layers, shape) for number, layers in enumerate(word.branches, start=1))
    ends = [branch[-1][1].output if branch else shape for branch in branches]
    if len({end[1:] for end in ends}) > 1 or any(len(end) != 3 for end in ends):
        raise UsageError(f"concat: branches must keep or share rows and columns, they give {list(map(list, ends))}")

    def build() -> nn.Module:
        from edgecnn.nn import blocks
        from edgecnn.nn.branches import Concat

        return Concat([blocks.named([(name, plan.build()) for name, plan in branch]) for branch in branches])

    parts = [plan for branch in branches for _, plan in branch]
    return Plan(
        "concat",
        (sum(end[0] for end in ends), *ends[0][1:]),
        build,
        params=sum(plan.params for plan in parts),
        macs=sum(plan.macs for plan in parts),
        branches=branches,
    )


def _branch(number: int, layers: tuple[words.Layer, ...], shape: Shape) -> tuple[tuple[str, Plan], ...]:
    try:
        return plan_layers(layers, shape)
    except UsageError as error:
        raise UsageError(f"branch {number}: {error}") from error


@plans(words.SqueezeExcite)
def squeeze_excite(word: words.SqueezeExcite, shape: Shape) -> Plan:
    """Two 1x1 convolutions over the channels' means, with biases."""
    channels, _, _ = picture(shape, "squeeze_excite")
    between = word.filters or max(1, channels // word.ratio)
    means = (channels, 1, 1)
    reduce = conv(words.Conv(filters=between, kernel=(1, 1), activation=word.activation), means)
    expand = conv(words.Conv(filters=channels, kernel=(1, 1)), reduce.output)

    def build() -> nn.Module:
        from edgecnn.nn.branches import SqueezeExcite

        return SqueezeExcite(reduce.build(), expand.build(), word.gate)

    def inside() -> nn.Module:
        raise AssertionError("the parts of a squeeze_excite are built by the block")

    inner = (
        ("squeeze", Plan("global_average_pool", means, inside, window=None)),
        ("reduce", reduce),
        ("expand", expand),
        ("gate", Plan(word.gate, means, inside, in_place=True)),
    )
    return Plan(
        "squeeze_excite",
        shape,
        build,
        params=reduce.params + expand.params,
        macs=reduce.macs + expand.macs,
        inner=inner,
        gates=True,
    )
