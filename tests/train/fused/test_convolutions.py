"""What both kinds of convolutions share; which modules they stand for is tested with each."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.train.fused import dense, depthwise
from tests.train.fused.compared import pictures


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("groups", [1, 256])
def test_they_compute_in_the_steps_type(groups: int, autocast: bool) -> None:
    """As torch's own do."""
    conv = nn.Conv2d(256, 256, 3, padding=1, groups=groups, bias=False)
    images = pictures((2, 256, 3, 3), torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        wanted = conv(images)
        conv.__class__ = dense.Dense if groups == 1 else depthwise.Depthwise
        made = conv(images)
    assert type(made.grad_fn).__name__ in ("_DenseBackward", "_DepthwiseBackward")
    assert made.dtype == wanted.dtype == (torch.bfloat16 if autocast else torch.float32)
