"""Convolutions of pictures that are small beside their filters, as matrix products.

oneDNN (torch 2.14) brings weights into an order of its own at each call, and their gradient back from it. Where 512
filters of 3x3x512 look at 64 pictures of 3x3, that takes most of the time. Chellapilla, Puri and Simard, "High
Performance Convolutional Neural Networks for Document Processing", 2006: what each place sees is a row of a matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgecnn.geometry import Margins
from edgecnn.nn import blocks
from edgecnn.train.fused.convolutions import in_its_type, is_plain, learns_from, margins_of

PLACES, WEIGHTS = 4, 2**16
"""Places in a batch for each filter, at most, and weights, at least, where matrix products are faster (1 and 2 threads,
float32 and bfloat16)."""


class Dense(nn.Conv2d):
    """Float [N, C, H, W] -> [N, F, H', W']; while training by matrix products, where they pay."""

    def forward(self, input: Tensor) -> Tensor:
        """As the class says."""
        if not learns_from(self, input):
            return super().forward(input)
        seen = _seen(input, self)
        if len(input) * seen.rows * seen.columns > PLACES * self.out_channels:
            return super().forward(input)
        output: Tensor = _Dense.apply(in_its_type(input), self.weight, seen)
        return output


class DenseOfOurs(Dense, blocks.Conv2d):
    """The same of our own networks' convolution, which may have uneven margins."""


BY_PRODUCTS = {nn.Conv2d: Dense, blocks.Conv2d: DenseOfOurs}
"""What the convolutions of other networks and of ours become."""


def can_be(module: nn.Module) -> bool:
    """Whether a module is a big convolution of all channels without an offset, as those before a batch norm are."""
    return (
        is_plain(module) and isinstance(module, nn.Conv2d) and module.groups == 1 and module.weight.numel() >= WEIGHTS
    )


class _Seen(NamedTuple):
    """Where filters stand: their size, how far apart, the margins, and how many rows and columns of places."""

    height: int
    width: int
    down: int
    right: int
    margins: Margins
    rows: int
    columns: int

    @property
    def all_there_is(self) -> bool:
        """Whether each place sees one pixel, and each pixel is seen."""
        return max(self.height, self.width, self.down, self.right) == 1 and self.margins == Margins(0, 0, 0, 0)


def _seen(input: Tensor, conv: nn.Conv2d) -> _Seen:
    (height, width), (down, right), margins = conv.kernel_size, _stride(conv), margins_of(conv)
    rows = (input.shape[2] + margins.top + margins.bottom - height) // down + 1
    columns = (input.shape[3] + margins.left + margins.right - width) // right + 1
    return _Seen(height, width, down, right, margins, rows, columns)


def _stride(conv: nn.Conv2d) -> tuple[int, int]:
    return int(conv.stride[0]), int(conv.stride[1])


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, seen: _Seen) -> Tensor:
        rows, filters = _rows(input, seen), _filters(weight, input.dtype)
        ctx.save_for_backward(rows, filters)
        ctx.input, ctx.weight, ctx.dtype, ctx.seen = input.shape, weight.shape, weight.dtype, seen
        output = torch.mm(rows, filters.t())
        return output.view(len(input), seen.rows, seen.columns, len(weight)).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, filters = ctx.saved_tensors
        count, channels, height, width = ctx.weight
        gradient = gradients[0].to(rows.dtype).permute(0, 2, 3, 1).reshape(-1, count)
        of_weight = torch.mm(gradient.t(), rows).view(count, height, width, channels).permute(0, 3, 1, 2)
        of_input = _gathered(torch.mm(gradient, filters), ctx.input, ctx.seen) if ctx.needs_input_grad[0] else None
        return of_input, of_weight.to(ctx.dtype), None


def _filters(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """[F, C, Y, X] -> [F, Y * X * C], a view where the weights are channels-last and of that type."""
    return weight.detach().to(dtype).permute(0, 2, 3, 1).reshape(len(weight), -1)


def _rows(input: Tensor, seen: _Seen) -> Tensor:
    """[N, C, H, W] channels-last -> [N * H' * W', Y * X * C], what each place sees."""
    pixels = input.permute(0, 2, 3, 1)
    if seen.all_there_is:
        return pixels.reshape(-1, input.shape[1])
    top, bottom, left, right = seen.margins.top, seen.margins.bottom, seen.margins.left, seen.margins.right
    padded = functional.pad(pixels, (0, 0, left, right, top, bottom))
    windows = padded.unfold(1, seen.height, seen.down).unfold(2, seen.width, seen.right)
    return windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, seen.height * seen.width * input.shape[1])


def _gathered(of_rows: Tensor, shape: torch.Size, seen: _Seen) -> Tensor:
    """The way back from `_rows`, [N * H' * W', Y * X * C] -> [N, C, H, W]: a pixel's sum over the places that see it.

    Sums are float32.
    """
    count, channels, height, width = shape
    if seen.all_there_is:
        return of_rows.view(count, height, width, channels).permute(0, 3, 1, 2)
    margins = seen.margins
    windows = of_rows.view(count, seen.rows, seen.columns, seen.height, seen.width, channels)
    padded = of_rows.new_zeros(
        (count, height + margins.top + margins.bottom, width + margins.left + margins.right, channels),
        dtype=torch.float32,
    )
    for y in range(seen.height):
        for x in range(seen.width):
            last_row, last_column = y + seen.down * seen.rows, x + seen.right * seen.columns
            padded[:, y : last_row : seen.down, x : last_column : seen.right] += windows[:, :, :, y, x]
    inner = padded[:, margins.top : margins.top + height, margins.left : margins.left + width]
    return inner.to(of_rows.dtype).permute(0, 3, 1, 2)
