"""The mean of each map: torch's, with a gradient in the picture's own order."""

from __future__ import annotations

import pytest
import torch

from edgecnn.nn.means import mean_of_maps


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_is_torchs_and_lies_as_the_picture(order: torch.memory_format, dtype: torch.dtype) -> None:
    images = torch.randn(4, 6, 3, 5).to(dtype).contiguous(memory_format=order).requires_grad_()
    again = images.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    wanted = torch.randn(4, 6).to(dtype)
    means, by_torch = mean_of_maps(images), again.mean(dim=(2, 3))
    assert torch.equal(means, by_torch)
    means.backward(wanted)  # type: ignore[no-untyped-call]
    by_torch.backward(wanted)  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert again.grad is not None
    assert torch.equal(images.grad, again.grad)
    assert images.grad.is_contiguous(memory_format=order)
