"""Batch norm with its activation in one function, beside torch's two in float64."""

from __future__ import annotations

import copy
from math import inf

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from edgecnn.train.fused.norm import BatchNormActivation, Limits, can_be
from tests.train.fused.compared import off, pictures, same_on_all_threads

ROUNDING = {torch.float32: 2e-5, torch.bfloat16: 2**-8}
"""How far a value may be off, as a share of the largest."""


def norm_of(channels: int, limits: Limits, seed: int = 0) -> BatchNormActivation:
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(channels, generator=generator) + 0.5)
        norm.bias.copy_(torch.randn(channels, generator=generator))
    assert can_be(norm)
    norm.__class__ = BatchNormActivation
    assert isinstance(norm, BatchNormActivation)
    norm.limits = limits
    return norm


def by_torch(norm: nn.BatchNorm2d, images: Tensor, limits: Limits) -> Tensor:
    return functional.batch_norm(
        images, norm.running_mean, norm.running_var, norm.weight, norm.bias, True, norm.momentum or 0.0, norm.eps
    ).clamp(*limits)


@given(
    channels=st.sampled_from([1, 3, 8, 16, 24, 48, 96, 130]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    dtype=st.sampled_from(list(ROUNDING)),
    limits=st.sampled_from([(0.0, 6.0), (0.0, inf), (-inf, inf)]),
    away=st.sampled_from([0.0, 100.0]),
)
def test_it_is_batch_norm_and_its_activation(
    channels: int, height: int, width: int, dtype: torch.dtype, limits: Limits, away: float
) -> None:
    images = pictures((16, channels, height, width), dtype, away=away).requires_grad_()
    gradient = pictures((16, channels, height, width), dtype, seed=1)
    ours, true = norm_of(channels, limits), copy.deepcopy(norm_of(channels, limits)).double()
    seen = images.detach().double().requires_grad_()
    wanted = by_torch(true, seen, limits)
    made = ours(images)
    # Where the activation bends, either side's gradient is right: such values get none.
    bends = near_a_bend(by_torch(copy.deepcopy(true), seen.detach(), (-inf, inf)), limits)
    gradient = gradient.masked_fill(bends, 0.0).contiguous(memory_format=torch.channels_last)
    made.backward(gradient)
    wanted.backward(gradient.double())
    rounding = ROUNDING[dtype]
    assert made.dtype == dtype
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert off(made, wanted) < rounding
    assert images.grad is not None
    assert seen.grad is not None
    assert off(images.grad, seen.grad) < 2 * rounding
    for mine, theirs in ((ours.weight.grad, true.weight.grad), (ours.bias.grad, true.bias.grad)):
        assert mine is not None
        assert theirs is not None
        assert off(mine, theirs) < 1e-4
    for mine, theirs in ((ours.running_mean, true.running_mean), (ours.running_var, true.running_var)):
        assert mine is not None
        assert theirs is not None
        assert off(mine, theirs) < 1e-5
    assert ours.num_batches_tracked == 1


def near_a_bend(values: Tensor, limits: Limits) -> Tensor:
    near = torch.zeros_like(values, dtype=torch.bool)
    for limit in limits:
        near |= (values - limit).abs() < 1e-3
    return near


def test_any_number_of_threads_gives_the_same_bits() -> None:
    def work() -> tuple[Tensor | None, ...]:
        norm, images = norm_of(48, (0.0, 6.0)), pictures((32, 48, 7, 7), torch.bfloat16).requires_grad_()
        norm(images).backward(pictures((32, 48, 7, 7), torch.bfloat16, seed=1))
        return images.grad, norm.weight.grad, norm.running_var

    assert same_on_all_threads(work)


@pytest.mark.parametrize("bad", [float("nan"), inf])
def test_what_is_not_a_number_stays_none(bad: float) -> None:
    images = pictures((8, 16, 4, 4), torch.bfloat16)
    images[3, 5, 1, 1] = bad
    made = norm_of(16, (0.0, 6.0))(images)
    assert made[:, 5].isnan().all()
    assert not made[:, 6].isnan().any()


def test_pictures_in_the_other_order_go_through_torch() -> None:
    images = pictures((8, 16, 4, 4), torch.float32)
    ours, torchs = norm_of(16, (0.0, 6.0)), norm_of(16, (0.0, 6.0))
    assert torch.allclose(ours(images), torchs(images.contiguous()), atol=1e-5)


def test_in_evaluation_it_is_batch_norm_alone() -> None:
    norm, images = norm_of(16, (0.0, 6.0)).eval(), pictures((8, 16, 4, 4), torch.float32)
    plain = nn.BatchNorm2d(16).eval()
    plain.load_state_dict(norm.state_dict())
    assert torch.equal(norm(images), plain(images))
    assert norm(images).min() < 0.0
