"""Activations: value by value, and softmax over channels or features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn.nn.layers.plan import Plan, Shape, plans
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn


def _register(word: type[words.Layer], name: str) -> None:
    @plans(word)
    def activation(_: words.Layer, shape: Shape) -> Plan:
        def build() -> nn.Module:
            from edgecnn.nn import blocks

            return blocks.ACTIVATIONS[name]()

        return Plan(name, shape, build, in_place=name != "softmax")


for _word in (
    words.Relu,
    words.Relu6,
    words.Sigmoid,
    words.Tanh,
    words.Silu,
    words.Swish,
    words.HardSigmoid,
    words.HardSwish,
    words.Gelu,
    words.Softmax,
):
    _register(_word, words.KINDS[_word])


@plans(words.LeakyRelu)
def leaky_relu(word: words.LeakyRelu, shape: Shape) -> Plan:
    """The slope below zero is the word's own."""

    def build() -> nn.Module:
        from torch import nn

        return nn.LeakyReLU(word.alpha)

    return Plan("leaky_relu", shape, build, in_place=True)
