"""Convolutions by matrix products beside torch's in float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from edgecnn.geometry import Margins
from edgecnn.nn import blocks
from edgecnn.train.fused import dense
from edgecnn.train.fused.dense import BY_PRODUCTS, PLACES, WEIGHTS, can_be
from tests.train.fused.compared import off, pictures

ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-7}


@pytest.fixture
def all_pay() -> Iterator[None]:
    """Small ones are taken, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "PLACES", 2**20)
        patch.setattr(dense, "WEIGHTS", 1)
        yield


def conv_of(
    channels: int, filters: int, kernel: tuple[int, int], stride: tuple[int, int], margins: Margins
) -> blocks.Conv2d:
    torch.manual_seed(0)
    return blocks.Conv2d(channels, filters, kernel, stride, margins, bias=False)


def by_products(conv: nn.Conv2d) -> nn.Conv2d:
    """The same weights in a module that multiplies matrices."""
    made = copy.deepcopy(conv).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    made.__class__ = BY_PRODUCTS[type(conv)]
    assert isinstance(made, nn.Conv2d)
    return made


@pytest.mark.usefixtures("all_pay")
@given(
    channels=st.sampled_from([1, 3, 16]),
    filters=st.sampled_from([1, 5, 32]),
    side=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    sides=st.tuples(*[st.integers(0, 2)] * 4),
    dtype=st.sampled_from(list(ROUNDING)),
)
def test_it_is_a_convolution(
    channels: int,
    filters: int,
    side: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    sides: tuple[int, ...],
    dtype: torch.dtype,
) -> None:
    margins = Margins(**dict(zip(("top", "bottom", "left", "right"), sides, strict=True)))
    if side[0] + sides[0] + sides[1] < kernel[0] or side[1] + sides[2] + sides[3] < kernel[1]:
        return
    conv = conv_of(channels, filters, kernel, stride, margins)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.to(dtype))
    true = copy.deepcopy(conv).double()
    assert can_be(conv)
    conv = by_products(conv)
    images = pictures((4, channels, *side), dtype).requires_grad_()
    seen = images.detach().double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        made = conv(images)
    assert type(made.grad_fn).__name__ == "_DenseBackward"
    wanted = true(seen)
    gradient = pictures(tuple(made.shape), dtype, seed=1)
    made.backward(gradient)
    wanted.backward(gradient.double())
    assert made.dtype == dtype
    assert made.shape == wanted.shape
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert off(made, wanted) < ROUNDING[dtype]
    assert off(images.grad, seen.grad) < ROUNDING[dtype]
    assert off(conv.weight.grad, true.weight.grad) < ROUNDING[dtype]


@pytest.mark.parametrize("side", [4, 5])
def test_big_pictures_are_left_to_torch(side: int) -> None:
    conv = conv_of(256, 256, (1, 1), (1, 1), Margins(0, 0, 0, 0))
    made = by_products(conv)
    images = pictures((PLACES * 256 // 16, 256, side, side), torch.float32)
    assert (type(made(images).grad_fn).__name__ == "_DenseBackward") == (side == 4)
    with torch.no_grad():
        assert torch.equal(made(images), nn.Conv2d.forward(made, images))


def test_torchs_own_module_becomes_one_and_the_first_layer_asks_for_no_more_than_its_weights() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(96, 96, 3, 2, 1, bias=False)
    true = copy.deepcopy(conv).double()
    assert can_be(conv)
    images = pictures((4, 96, 5, 5), torch.float32)
    made = by_products(conv)
    output = made(images)
    output.sum().backward()
    true(images.double()).sum().backward()
    assert off(output, true(images.double())) < 1e-5
    assert off(made.weight.grad, true.weight.grad) < 1e-5
    assert torch.equal(made.eval()(images), nn.Conv2d.forward(made, images))


def test_the_same_again_is_the_same_to_the_bit() -> None:
    conv = by_products(conv_of(256, 64, (3, 3), (1, 1), Margins(1, 1, 1, 1)))

    def work() -> list[Tensor]:
        images = pictures((16, 256, 3, 3), torch.bfloat16).requires_grad_()
        conv.zero_grad()
        output = conv(images)
        output.backward(pictures(tuple(output.shape), torch.bfloat16, seed=1))
        assert images.grad is not None
        assert conv.weight.grad is not None
        return [output.detach(), images.grad, conv.weight.grad]

    assert all(torch.equal(one, other) for one, other in zip(work(), work(), strict=True))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(256, 256, 3, padding="same", bias=False),
        nn.Conv2d(256, 256, 3, padding=1, padding_mode="reflect", bias=False),
        nn.Conv2d(256, 256, 3, bias=True),
        nn.Conv2d(256, 256, 3, groups=2, bias=False),
        nn.Conv2d(256, 256, 3, dilation=2, bias=False),
        nn.Conv2d(WEIGHTS // 256 - 1, 256, 1, bias=False),
        nn.ConvTranspose2d(256, 256, 1, bias=False),
    ],
    ids=str,
)
def test_others_are_left_to_torch(conv: nn.Module) -> None:
    assert not can_be(conv)
