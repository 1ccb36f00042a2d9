"""Depthwise convolution by the kernels beside torch's in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from edgecnn.geometry import Margins
from edgecnn.nn import blocks
from edgecnn.train.fused.depthwise import BY_KERNELS, can_be
from tests.train.fused.compared import off, pictures, same_on_all_threads

ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-8}


def conv_of(channels: int, kernel: int, stride: int, margins: Margins) -> blocks.Conv2d:
    torch.manual_seed(0)
    return blocks.Conv2d(channels, channels, (kernel, kernel), (stride, stride), margins, groups=channels, bias=False)


@given(
    channels=st.sampled_from([16, 48, 96]),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    kernel=st.sampled_from([3, 5]),
    stride=st.sampled_from([1, 2]),
    sides=st.tuples(*[st.integers(0, 2)] * 4),
    dtype=st.sampled_from(list(ROUNDING)),
)
def test_it_is_a_convolution(
    channels: int, height: int, width: int, kernel: int, stride: int, sides: tuple[int, ...], dtype: torch.dtype
) -> None:
    margins = Margins(**dict(zip(("top", "bottom", "left", "right"), sides, strict=True)))
    if height + sides[0] + sides[1] < kernel or width + sides[2] + sides[3] < kernel:
        return
    conv = conv_of(channels, kernel, stride, margins)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.to(dtype))
    true = copy.deepcopy(conv).double()
    assert can_be(conv)
    conv.__class__ = BY_KERNELS[type(conv)]
    images = pictures((5, channels, height, width), dtype).requires_grad_()
    seen = images.detach().double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        made = conv(images)
    wanted = true(seen)
    gradient = pictures(tuple(made.shape), dtype, seed=1)
    made.backward(gradient)
    wanted.backward(gradient.double())
    assert made.dtype == dtype
    assert made.shape == wanted.shape
    assert off(made, wanted) < ROUNDING[dtype]
    assert off(images.grad, seen.grad) < ROUNDING[dtype]
    assert off(conv.weight.grad, true.weight.grad) < 1e-5


def test_any_number_of_threads_gives_the_same_bits() -> None:
    def work() -> tuple[Tensor | None, ...]:
        conv = conv_of(32, 3, 1, Margins(1, 1, 1, 1))
        conv.__class__ = BY_KERNELS[type(conv)]
        images = pictures((70, 32, 6, 6), torch.float32).requires_grad_()
        conv(images).backward(pictures((70, 32, 6, 6), torch.float32, seed=1))
        return images.grad, conv.weight.grad

    assert same_on_all_threads(work)


@pytest.mark.parametrize("stride", [1, 2])
def test_torchs_own_module_becomes_one(stride: int) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(32, 32, 5, stride, 2, groups=32, bias=False)
    true = copy.deepcopy(conv).double()
    assert can_be(conv)
    conv.__class__ = BY_KERNELS[type(conv)]
    images = pictures((4, 32, 9, 7), torch.float32)
    assert off(conv(images), true(images.double())) < 1e-5
    assert torch.equal(conv.eval()(images), torch.nn.Conv2d.forward(conv, images))


@pytest.mark.parametrize(
    "conv",
    [
        torch.nn.Conv2d(16, 16, 3, padding="same", groups=16, bias=False),
        torch.nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect", groups=16, bias=False),
        blocks.Conv2d(16, 16, (3, 3), (1, 1), Margins(1, 1, 1, 1), groups=16, bias=True),
        blocks.Conv2d(16, 16, (3, 3), (1, 1), Margins(1, 1, 1, 1), groups=8, bias=False),
        blocks.Conv2d(16, 32, (3, 3), (1, 1), Margins(1, 1, 1, 1), groups=16, bias=False),
        blocks.Conv2d(24, 24, (3, 3), (1, 1), Margins(1, 1, 1, 1), groups=24, bias=False),
        blocks.Conv2d(16, 16, (7, 7), (1, 1), Margins(3, 3, 3, 3), groups=16, bias=False),
        blocks.Conv2d(16, 16, (3, 3), (3, 3), Margins(1, 1, 1, 1), groups=16, bias=False),
        blocks.Conv2d(16, 16, (3, 3), (1, 2), Margins(1, 1, 1, 1), groups=16, bias=False),
        blocks.Conv2d(16, 16, (3, 3), (1, 1), Margins(2, 2, 2, 2), groups=16, bias=False, dilation=(2, 2)),
    ],
)
def test_others_are_left_to_torch(conv: blocks.Conv2d) -> None:
    assert not can_be(conv)
