"""Pools beyond maximum and mean: the root of mean squares, one value drawn, windows of a fractional stride.

The last two are for training (they draw); in evaluation each has one fixed form, which is what is exported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecnn.geometry import Pair

LEAST = 1e-6
"""What a value counts at least when shares are asked for: a window of nothing has shares then, too."""


class L2Pool2d(nn.Module):
    """sqrt(mean(x^2)) of each window, over the pixels that exist."""

    def __init__(self, mean: nn.Module) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C, H', W']."""
        mean: Tensor = self.mean(image * image)
        if self.training:
            mean = mean.clamp(min=LEAST * LEAST)  # the root's slope at nothing is infinite
        return mean.sqrt()


class StochasticPool2d(nn.Module):
    """One value of each window while training, drawn with odds p = max(x, 0); in evaluation mean(p * p) / mean(p).

    Source: Zeiler and Fergus, "Stochastic Pooling", arXiv:1301.3557, sections 3.1 and 3.2.
    """

    def __init__(self, size: Pair, stride: Pair, mean: nn.Module) -> None:
        super().__init__()
        self.least: Tensor
        self.size, self.stride, self.mean = size, stride, mean
        self.register_buffer("least", torch.tensor(LEAST), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C, H', W']."""
        odds = torch.maximum(image, self.least)
        if not self.training:
            weighted: Tensor = self.mean(odds * odds) / self.mean(odds)
            return weighted
        windows = odds.unfold(2, self.size[0], self.stride[0]).unfold(3, self.size[1], self.stride[1]).flatten(4)
        # The largest of odds / Exp(1) falls on each value with its share of the odds.
        drawn = (windows.detach() / torch.empty_like(windows).exponential_()).argmax(-1, keepdim=True)
        return windows.gather(-1, drawn).squeeze(-1)


class FractionalMaxPool2d(nn.Module):
    """The largest of 2x2 windows that overlap or touch: their places are drawn while training, even in evaluation.

    output: (rows, columns) to make of the picture. Source: Graham, "Fractional Max-Pooling", arXiv:1412.6071; the
    windows of torch's FractionalMaxPool2d, which in evaluation begin half a step in.
    """

    def __init__(self, picture: Pair, output: Pair) -> None:
        super().__init__()
        self.rows: Tensor
        self.columns: Tensor
        self._drawn = nn.FractionalMaxPool2d(2, output_size=output)
        self._neighbours = nn.MaxPool2d(2, stride=1)
        for name, length, count in (("rows", picture[0], output[0]), ("columns", picture[1], output[1])):
            self.register_buffer(name, torch.tensor(even_starts(length, count)), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C, rows, columns]."""
        if self.training:
            pooled: Tensor = self._drawn(image)
            return pooled
        largest: Tensor = self._neighbours(image)
        return largest.index_select(2, self.rows).index_select(3, self.columns)


def even_starts(length: int, count: int, offset: float = 0.5) -> list[int]:
    """Where `count` windows of 2 begin along `length`: those of torch for the random number `offset`."""
    if count == 1:
        return [length - 2]
    step = (length - 2) / (count - 1)
    return [int((i + offset) * step) - int(offset * step) for i in range(count - 1)] + [length - 2]
