"""Blocks that add their input to what they make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
from edgecnn.geometry import Pair
from edgecnn.nn.layers.convolutions import conv
from edgecnn.nn.layers.plan import Plan, Shape, picture, plan_layers, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


@plans(words.Residual)
def residual(word: words.Residual, shape: Shape) -> Plan:
    """The sum of a shortcut and what the inner layers make; shapes must agree."""
    _, height, width = picture(shape, "residual")
    body = plan_layers(word.layers, shape)
    output = body[-1][1].output
    shortcut: Plan | None = None
    if word.shortcut != "identity":
        if len(output) != 3:
            raise UsageError(f"residual: its layers must keep a picture, they give {list(output)}")
        stride = (-(-height // output[1]), -(-width // output[2]))
        project = _averaged if word.shortcut == "average" and stride != (1, 1) else _projected
        shortcut = project(output[0], stride, shape)
    reached = shortcut.output if shortcut else shape
    if reached != output:
        raise UsageError(f"residual: {list(reached)} and {list(output)} can't be added; use shortcut: conv")

    def build() -> nn.Module:
        from torch import nn

        from edgecnn.nn import blocks

        inside = blocks.named([(name, plan.build()) for name, plan in body])
        return blocks.Residual(inside, shortcut.build() if shortcut else nn.Identity(), word.activation)

    parts = [plan for _, plan in body] + ([shortcut] if shortcut else [])
    return Plan(
        "residual",
        output,
        build,
        params=sum(plan.params for plan in parts),
        macs=sum(plan.macs for plan in parts),
        inner=body,
        shortcut=shortcut,
        adds=True,
    )


def _projected(filters: int, stride: Pair, shape: Shape) -> Plan:
    return conv(words.Conv(filters=filters, kernel=(1, 1), stride=stride, batch_norm=True), shape)


def _averaged(filters: int, stride: Pair, shape: Shape) -> Plan:
    """A mean of each window, then the projection at stride 1."""
    mean = words.AveragePool(size=stride, stride=stride, padding="same", name="pool")
    project = words.Conv(filters=filters, kernel=(1, 1), batch_norm=True, name="project")
    inner = plan_layers([mean, project], shape)

    def build() -> nn.Module:
        from edgecnn.nn import blocks

        return blocks.named([(name, plan.build()) for name, plan in inner])

    parts = [plan for _, plan in inner]
    return Plan(
        "average_shortcut",
        parts[-1].output,
        build,
        params=sum(plan.params for plan in parts),
        macs=sum(plan.macs for plan in parts),
        inner=inner,
    )


@plans(words.InvertedResidual)
def inverted_residual(word: words.InvertedResidual, shape: Shape) -> Plan:
    """Expand, filter each channel, project without activation; the input is added where stride and channels keep it.

    Source: Sandler et al., "MobileNetV2", arXiv:1801.04381, section 3.3.
    """
    channels, _, _ = picture(shape, "inverted_residual")
    body = plan_layers(_bottleneck(word, channels), shape)
    adds = word.stride == (1, 1) and word.filters == channels

    def build() -> nn.Module:
        from torch import nn

        from edgecnn.nn import blocks

        inside = blocks.named([(name, plan.build()) for name, plan in body])
        return blocks.Residual(inside, nn.Identity(), "linear") if adds else inside

    return Plan(
        "inverted_residual",
        body[-1][1].output,
        build,
        params=sum(plan.params for _, plan in body),
        macs=sum(plan.macs for _, plan in body),
        inner=body,
        adds=adds,
    )


def _bottleneck(word: words.InvertedResidual, channels: int) -> list[words.Layer]:
    """The block in simpler words; by a factor of one nothing is expanded, so that convolution is left out."""
    wide = words.Conv(
        filters=channels * word.expansion, kernel=(1, 1), batch_norm=True, activation=word.activation, name="expand"
    )
    spatial = words.DepthwiseConv(
        kernel=word.kernel, stride=word.stride, batch_norm=True, activation=word.activation, name="depthwise"
    )
    narrow = words.Conv(filters=word.filters, kernel=(1, 1), batch_norm=True, name="project")
    return [spatial, narrow] if word.expansion == 1 else [wide, spatial, narrow]
