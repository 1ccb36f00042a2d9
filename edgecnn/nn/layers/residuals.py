"""Blocks that add their input to what they make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
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
    inner = list(body)
    shortcut: Plan | None = None
    if word.shortcut == "conv":
        if len(output) != 3:
            raise UsageError(f"residual: its layers must keep a picture, they give {list(output)}")
        stride = (-(-height // output[1]), -(-width // output[2]))
        shortcut = conv(words.Conv(filters=output[0], kernel=(1, 1), stride=stride, batch_norm=True), shape)
        inner.append(("shortcut", shortcut))
    reached = shortcut.output if shortcut else shape
    if reached != output:
        raise UsageError(f"residual: {list(reached)} and {list(output)} can't be added; use shortcut: conv")

    def build() -> nn.Module:
        from torch import nn

        from edgecnn.nn import blocks

        inside = blocks.named([(name, plan.build()) for name, plan in body])
        return blocks.Residual(inside, shortcut.build() if shortcut else nn.Identity(), word.activation)

    return Plan(
        "residual",
        output,
        build,
        params=sum(plan.params for _, plan in inner),
        macs=sum(plan.macs for _, plan in inner),
        inner=tuple(inner),
    )
