"""Functions of one value, and softmax."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgecnn.recipe.layers.common import Layer


class Relu(Layer):
    """max(x, 0)."""


class Relu6(Layer):
    """min(max(x, 0), 6)."""


class LeakyRelu(Layer):
    """x, or alpha * x below zero; alpha is that of Keras's function `leaky_relu` unless given."""

    alpha: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""


class Tanh(Layer):
    """The hyperbolic tangent."""


class Silu(Layer):
    """x * sigmoid(x) (arXiv:1702.03118)."""


class Swish(Silu):
    """silu by its other name (arXiv:1710.05941)."""


class HardSigmoid(Layer):
    """relu6(x + 3) / 6."""


class HardSwish(Layer):
    """x * relu6(x + 3) / 6 (arXiv:1905.02244)."""


class Gelu(Layer):
    """x * Phi(x), Phi being the normal distribution's; not its tanh approximation (arXiv:1606.08415)."""


class Softmax(Layer):
    """exp(x) / sum(exp(x)) over channels, or features."""
