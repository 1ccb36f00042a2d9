"""Weights before training, by Keras's names and definitions.

Source: keras.src.initializers.random_initializers (VarianceScaling, compute_fans).
"""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn

TRUNCATED = 0.87962566103423978
"""The standard deviation of a normal distribution cut off at two of them."""
GAIN = {"glorot": 1.0, "he": 2.0, "lecun": 1.0}


def fans(weight: Tensor, multiplier: int = 0) -> tuple[float, float]:
    """Keras's (fan in, fan out) of [F, C / groups, K, K] or [units, features].

    Of a depthwise kernel, which Keras holds as [K, K, C, multiplier], it takes C inputs and `multiplier` outputs;
    0 says that the kernel is not depthwise.
    """
    window = weight[0, 0].numel()  # 1 of a dense layer
    inputs, outputs = weight.shape[1], weight.shape[0]
    if multiplier:
        inputs, outputs = outputs // multiplier, multiplier
    return float(inputs * window), float(outputs * window)


def initialize(weight: Tensor, name: str, multiplier: int = 0) -> None:
    """Fill a weight in place; `name` is one of recipe.layers.Initializer."""
    if name in ("zeros", "ones"):
        nn.init.constant_(weight, float(name == "ones"))
        return
    family, distribution = name.split("_")
    fan_in, fan_out = fans(weight, multiplier)
    variance = GAIN[family] / ((fan_in + fan_out) / 2.0 if family == "glorot" else fan_in)
    if distribution == "uniform":
        limit = sqrt(3.0 * variance)
        nn.init.uniform_(weight, -limit, limit)
    else:
        deviation = sqrt(variance) / TRUNCATED
        nn.init.trunc_normal_(weight, 0.0, deviation, -2.0 * deviation, 2.0 * deviation)
