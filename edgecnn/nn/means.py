"""The mean of each map, whose way back keeps the order of a channels-last picture in memory.

torch's gives the gradient out in the other order, and each step before it then reads two pictures that lie differently:
1280 maps of 4x4, batch 128, bfloat16, take 16 ms on the way back through ReLU6 and batch norm, where larger pictures
whose gradients lie as they do take 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def mean_of_maps(image: Tensor) -> Tensor:
    """Float [N, C, H, W] -> [N, C]."""
    if (
        torch.is_grad_enabled()
        and image.requires_grad
        and image.is_contiguous(memory_format=torch.channels_last)
        and not image.is_contiguous()
    ):
        means: Tensor = _Mean.apply(image)
        return means
    return image.mean(dim=(2, 3))


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        ctx.shape = image.shape
        return image.mean(dim=(2, 3))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        count, channels, height, width = ctx.shape
        share = gradients[0] / (height * width)
        wide: Tensor = share[:, None, None, :].expand(count, height, width, channels).contiguous()
        return wide.permute(0, 3, 1, 2)
