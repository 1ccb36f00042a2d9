"""Initial weights against torch's own where the definitions agree, else Keras's formulas, worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch.nn import init

from edgecnn.nn.initializers import initialize

CONV = (64, 32, 3, 3)  # fan in 288, fan out 576
DENSE = (400, 300)  # fan in 300, fan out 400
DEPTHWISE = (256, 1, 3, 3)  # Keras: [3, 3, 128, 2]: fan in 1152, fan out 18


@pytest.mark.parametrize(
    ("shape", "multiplier", "name", "variance"),
    [
        (CONV, 0, "glorot_uniform", 2 / (288 + 576)),
        (CONV, 0, "glorot_normal", 2 / (288 + 576)),
        (CONV, 0, "he_uniform", 2 / 288),
        (CONV, 0, "he_normal", 2 / 288),
        (CONV, 0, "lecun_uniform", 1 / 288),
        (CONV, 0, "lecun_normal", 1 / 288),
        (DENSE, 0, "glorot_uniform", 2 / 700),
        (DENSE, 0, "he_normal", 2 / 300),
        (DEPTHWISE, 2, "glorot_uniform", 2 / (1152 + 18)),
        (DEPTHWISE, 2, "he_normal", 2 / 1152),
    ],
)
def test_variance_and_reach(shape: tuple[int, ...], multiplier: int, name: str, variance: float) -> None:
    torch.manual_seed(0)
    weight = torch.empty(shape)
    initialize(weight, name, multiplier)
    assert weight.var().item() == pytest.approx(variance, rel=0.06)
    limit = sqrt(3 * variance) if name.endswith("uniform") else 2 * sqrt(variance) / 0.87962566103423978
    assert 0.97 * limit < weight.abs().max().item() <= limit * 1.000001


@pytest.mark.parametrize(("name", "value"), [("zeros", 0.0), ("ones", 1.0)])
def test_constants(name: str, value: float) -> None:
    weight = torch.empty(DENSE)
    initialize(weight, name)
    assert (weight == value).all()


TORCH: dict[str, Callable[[torch.Tensor], object]] = {
    "glorot_uniform": init.xavier_uniform_,
    "he_uniform": lambda weight: init.kaiming_uniform_(weight, nonlinearity="relu"),
    "lecun_uniform": lambda weight: init.kaiming_uniform_(weight, nonlinearity="linear"),
    "glorot_normal": init.xavier_normal_,
    "he_normal": lambda weight: init.kaiming_normal_(weight, nonlinearity="relu"),
    "lecun_normal": lambda weight: init.kaiming_normal_(weight, nonlinearity="linear"),
}


def filled(shape: tuple[int, ...], fill: Callable[[torch.Tensor], object]) -> torch.Tensor:
    torch.manual_seed(7)
    weight = torch.empty(shape)
    fill(weight)
    return weight


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("shape", [CONV, DENSE])
def test_like_torch(name: str, shape: tuple[int, ...]) -> None:
    """Value by value where it is uniform; Keras cuts its normal off, so of that the deviation alone."""
    found, expected = filled(shape, lambda weight: initialize(weight, name)), filled(shape, TORCH[name])
    if name.endswith("uniform"):
        torch.testing.assert_close(found, expected)
    else:
        assert found.std().item() == pytest.approx(expected.std().item(), rel=0.02)
