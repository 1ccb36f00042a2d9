"""ReLU6 with less memory: torch's values and gradients, to the bit, and its input is not kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.nn.relu6 import ReLU6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_torchs(dtype: torch.dtype) -> None:
    image = (8 * torch.randn(4, 6, 5, 5)).to(dtype)
    image.view(-1)[:4] = torch.tensor([0.0, 6.0, -0.0, 6.03125])  # at the ends no gradient passes
    found = []
    for layer in (nn.ReLU6(), ReLU6()):
        given = image.clone().requires_grad_()
        output = layer(given)
        (output * torch.linspace(-1, 2, output.numel()).view_as(output).to(dtype)).sum().backward()
        found.append((output, given.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_what_is_kept_is_the_output() -> None:
    kept: list[int] = []
    given = torch.randn(2, 3, 4, 4, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.data_ptr()) or t, lambda t: t):
        output = ReLU6()(given)
    assert kept == [output.data_ptr()]


def test_in_evaluation_it_is_torchs() -> None:
    given = torch.randn(2, 3, 4, 4, requires_grad=True)
    assert "Hardtanh" in type(ReLU6().eval()(given).grad_fn).__name__
