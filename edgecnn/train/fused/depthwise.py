"""Depthwise convolution of 3x3 and 5x5 with all kinds of margins, stride 1 and 2.

oneDNN (torch 2.14) reads the gradient twice on the way back, once for the input's and once for the weights', and has no
fast strided one in bfloat16 (nn/strided.py). Here each picture goes both ways while it lies in the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edgecnn.geometry import Margins
from edgecnn.nn import blocks
from edgecnn.train.fused.compiled import LANES, kernels
from edgecnn.train.fused.convolutions import in_its_type, is_plain, learns_from, margins_of

KERNELS = (3, 5)


class Depthwise(nn.Conv2d):
    """Float [N, C, H, W] -> [N, C, H', W']; while training by the kernels, where they take the picture."""

    def forward(self, input: Tensor) -> Tensor:
        """As the class says."""
        if not learns_from(self, input):
            return super().forward(input)
        output: Tensor = _Depthwise.apply(in_its_type(input), self.weight, self.stride[0], margins_of(self))
        return output


class DepthwiseOfOurs(Depthwise, blocks.Conv2d):
    """The same of our own networks' convolution, which may have uneven margins."""


BY_KERNELS = {nn.Conv2d: Depthwise, blocks.Conv2d: DepthwiseOfOurs}
"""What the convolutions of other networks and of ours become."""


def can_be(module: nn.Module) -> bool:
    """Whether a module is a depthwise convolution of a kind that the kernels know."""
    return (
        is_plain(module)
        and module.groups == module.in_channels == module.out_channels
        and module.groups % LANES == 0
        and module.kernel_size in [(size, size) for size in KERNELS]
        and module.stride in [(1, 1), (2, 2)]
        and max(margins_of(module).top, margins_of(module).left) < module.kernel_size[0]
    )


class _Geometry(NamedTuple):
    """What the kernels want to know, in their order."""

    kernel: int
    pictures: int
    height: int
    width: int
    channels: int
    rows: int
    columns: int
    stride: int
    top: int
    left: int


def _geometry(input: Tensor, weight: Tensor, stride: int, margins: Margins) -> _Geometry:
    count, channels, height, width = input.shape
    size = weight.shape[2]
    rows = (height + margins.top + margins.bottom - size) // stride + 1
    columns = (width + margins.left + margins.right - size) // stride + 1
    return _Geometry(size, count, height, width, channels, rows, columns, stride, margins.top, margins.left)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: int, margins: Margins) -> Tensor:
        geometry = _geometry(input, weight, stride, margins)
        taps = _taps(weight, input.dtype)
        output = torch.empty(
            (geometry.pictures, geometry.channels, geometry.rows, geometry.columns),
            dtype=input.dtype,
            memory_format=torch.channels_last,
        )
        kernels(input.dtype).depthwise_forward(input.data_ptr(), taps.data_ptr(), output.data_ptr(), *geometry)
        ctx.save_for_backward(input, weight)
        ctx.geometry = geometry
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        gradient = gradients[0].to(input.dtype).contiguous(memory_format=torch.channels_last)
        taps = _taps(weight, input.dtype)
        of_input = torch.empty_like(input) if ctx.needs_input_grad[0] else None
        of_taps = torch.empty_like(taps)
        kernels(input.dtype).depthwise_backward(
            gradient.data_ptr(),
            input.data_ptr(),
            taps.data_ptr(),
            None if of_input is None else of_input.data_ptr(),
            of_taps.data_ptr(),
            *ctx.geometry,
        )
        return of_input, of_taps.T.reshape(weight.shape).contiguous(), None, None


def _taps(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """[C, 1, K, K] -> float32 [K * K, C], rounded to the type that a convolution by torch would see."""
    return weight.detach().to(dtype).float().flatten(1).T.contiguous()
