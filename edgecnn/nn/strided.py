"""A strided depthwise convolution whose way back is fast in bfloat16 on a CPU.

oneDNN (torch 2.14) has no fast kernel for the input gradient of a strided bfloat16 depthwise convolution: 96 channels,
32x32, stride 2, batch 256 take 175 ms there, against 7 ms at stride 1. But that gradient *is* a stride-1 one: that of
the output gradient with zeros put between its values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgecnn.geometry import Margins

Pair = tuple[int, int]


def pays(input: Tensor, weight: Tensor, stride: Pair, margins: Margins) -> bool:
    """Whether the detour is faster: strided, depthwise, odd kernel, bfloat16 on a CPU, and a gradient is wanted.

    input: float [N, C, H, W], or what autocast will make bfloat16 of. weight: float [C, 1, K, K].
    """
    rows, columns = weight.shape[2:]
    return (
        max(stride) > 1
        and weight.shape[1] == 1
        and input.shape[1] == len(weight)
        and rows % 2 == columns % 2 == 1
        and max(margins.top, margins.bottom) <= rows // 2
        and max(margins.left, margins.right) <= columns // 2
        and input.device.type == "cpu"
        and input.requires_grad
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def depthwise(input: Tensor, weight: Tensor, stride: Pair, margins: Margins) -> Tensor:
    """Float [N, C, H, W] by [C, 1, K, K] -> bfloat16 [N, C, H', W'], in channels-last order."""
    output: Tensor = _StridedDepthwise.apply(input.to(torch.bfloat16), weight.to(torch.bfloat16), stride, margins)
    return output


class _StridedDepthwise(torch.autograd.Function):
    """conv2d forward; back, the weights' gradient as usual and the input's by way of stride 1."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: Pair, margins: Margins) -> Tensor:
        padded = functional.pad(input, (margins.left, margins.right, margins.top, margins.bottom))
        ctx.save_for_backward(padded, weight)
        ctx.stride, ctx.margins, ctx.shape = stride, margins, input.shape
        return functional.conv2d(padded, weight, None, stride, 0, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        padded, weight = ctx.saved_tensors
        (gradient,) = gradients
        of_input = _input_gradient(gradient, weight, ctx.shape, ctx.stride, ctx.margins)
        _, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, padded, weight, None, ctx.stride, (0, 0), (1, 1), False, (0, 0), len(weight), (False, True, False)
        )
        return of_input, of_weight, None, None


def _input_gradient(gradient: Tensor, weight: Tensor, shape: torch.Size, stride: Pair, margins: Margins) -> Tensor:
    """The stride-1 convolution with margins K // 2 has an output for each pixel; the strided one has some of them."""
    rows, columns = weight.shape[2] // 2, weight.shape[3] // 2
    between = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
    there = between[:, :, rows - margins.top :: stride[0], columns - margins.left :: stride[1]]
    there[:, :, : gradient.shape[2], : gradient.shape[3]] = gradient
    of_input: Tensor = torch.ops.aten.convolution_backward(
        between,
        between,
        weight,
        None,
        (1, 1),
        (rows, columns),
        (1, 1),
        False,
        (0, 0),
        len(weight),
        (True, False, False),
    )[0]
    return of_input
