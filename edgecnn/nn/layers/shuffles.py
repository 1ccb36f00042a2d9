"""The unit that sends half of its channels through convolutions, and shuffles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
from edgecnn.nn.layers.plan import Plan, Shape, picture, plan_layers, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn

Branch = tuple[tuple[str, Plan], ...]


@plans(words.ShuffleUnit)
def shuffle_unit(word: words.ShuffleUnit, shape: Shape) -> Plan:
    """Two branches of filters / 2 channels each, joined, then taken by turns.

    Source: Ma et al., "ShuffleNet V2", arXiv:1807.11164, figure 3 (c) and (d); built as torchvision does.
    """
    channels, _, _ = picture(shape, "shuffle_unit")
    if word.stride == (1, 1) and word.filters != channels:
        raise UsageError(
            f"shuffle_unit: at stride 1 it keeps its {channels} channels, but filters is {word.filters}: "
            "give a stride, or as many filters"
        )
    branches = _halves(word, shape) if word.stride == (1, 1) else _both(word, shape)
    output = (word.filters, *branches[1][-1][1].output[1:])
    parts = [plan for branch in branches for _, plan in branch]

    def build() -> nn.Module:
        from edgecnn.nn import blocks
        from edgecnn.nn.branches import ChannelShuffle, Concat

        joined = Concat([blocks.named([(name, plan.build()) for name, plan in branch]) for branch in branches])
        return blocks.named([("concat", joined), ("shuffle", ChannelShuffle())])

    return Plan(
        "shuffle_unit",
        output,
        build,
        params=sum(plan.params for plan in parts),
        macs=sum(plan.macs for plan in parts),
        branches=branches,
    )


def _halves(word: words.ShuffleUnit, shape: Shape) -> tuple[Branch, Branch]:
    kept, second = _half(shape, second=False), _half(shape, second=True)
    return (("slice", kept),), (("slice", second), *plan_layers(_body(word), second.output))


def _both(word: words.ShuffleUnit, shape: Shape) -> tuple[Branch, Branch]:
    """Where the picture shrinks there is nothing to hand on: the first branch is filtered too."""
    return plan_layers(_body(word)[1:], shape), plan_layers(_body(word), shape)


def _half(shape: Shape, second: bool) -> Plan:
    def build() -> nn.Module:
        from edgecnn.nn.branches import Half

        return Half(shape[0], second)

    return Plan("slice", (shape[0] // 2, *shape[1:]), build)


def _body(word: words.ShuffleUnit) -> list[words.Layer]:
    half = word.filters // 2
    return [
        words.Conv(filters=half, kernel=(1, 1), batch_norm=True, activation="relu", name="reduce"),
        words.DepthwiseConv(stride=word.stride, batch_norm=True, name="depthwise"),
        words.Conv(filters=half, kernel=(1, 1), batch_norm=True, activation="relu", name="expand"),
    ]
