"""Modules that bring several paths together: branches side by side, and a gate for each channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgecnn.nn.blocks import ACTIVATIONS


class Concat(nn.Module):
    """What each branch makes of the same input, along the channels."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        for number, branch in enumerate(branches, start=1):
            self.add_module(f"branch{number}", branch)

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, the sum of the branches' channels, H', W']."""
        return torch.cat([branch(image) for branch in self.children()], dim=1)


class SqueezeExcite(nn.Module):
    """x * gate(expand(activation(reduce(mean of x)))).

    Source: Hu et al., "Squeeze-and-Excitation Networks", arXiv:1709.01507; the hard gate is MobileNetV3's
    (arXiv:1905.02244, section 5.3).
    """

    def __init__(self, reduce: nn.Module, expand: nn.Module, gate: str) -> None:
        super().__init__()
        self.squeeze, self.reduce, self.expand, self.gate = nn.AdaptiveAvgPool2d(1), reduce, expand, ACTIVATIONS[gate]()

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> the same."""
        weighted: Tensor = image * self.gate(self.expand(self.reduce(self.squeeze(image))))
        return weighted


class Half(nn.Module):
    """The first or the second half of the channels."""

    def __init__(self, channels: int, second: bool) -> None:
        super().__init__()
        self.begin, self.end = (channels // 2, channels) if second else (0, channels // 2)

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C / 2, H, W]."""
        return image[:, self.begin : self.end]


class ChannelShuffle(nn.Module):
    """Channels of two groups by turns: 0, C / 2, 1, C / 2 + 1 ... (arXiv:1707.01083, figure 1)."""

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> the same shape."""
        count, channels, height, width = image.shape
        groups = image.view(count, 2, channels // 2, height, width)
        return groups.transpose(1, 2).contiguous().view(count, channels, height, width)
