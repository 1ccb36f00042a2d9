"""Batch norm and the activation after it as one function: 3 passes through memory and 5 back, instead of 6 and 8.

torch's own reads the picture twice for its statistics, and the activation once more. Here one reading gives both sums,
taken about a value of the batch so that squares stay small (Chan, Golub and LeVeque, "Algorithms for Computing the
Sample Variance", 1983). The activation's gradient needs nothing kept: what it let pass is told from the input.
"""

from __future__ import annotations

from math import inf, lcm
from typing import Any

import torch
from torch import Tensor, nn

from edgecnn.train.fused.compiled import LANES, kernels, takes

Limits = tuple[float, float]


class BatchNormActivation(nn.BatchNorm2d):
    """Float [N, C, H, W] -> the same: min(max(batch norm(x), low), high) while training, batch norm alone otherwise.

    The activation that follows knows (places.Done).
    """

    limits: Limits = (-inf, inf)

    def forward(self, input: Tensor) -> Tensor:
        """As the class says; pictures that the kernels don't take go through torch."""
        if not self.training:
            return super().forward(input)
        if not _fits(input):
            return super().forward(input).clamp(*self.limits)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        statistics = (self.running_mean, self.running_var, self.eps, self.momentum)
        output: Tensor = _Norm.apply(input, self.weight, self.bias, statistics, self.limits)
        return output


def can_be(module: nn.Module) -> bool:
    """Whether a module is a batch norm as everybody has it: learnt scale and offset, running statistics."""
    return (
        type(module) is nn.BatchNorm2d and module.affine and module.track_running_stats and module.momentum is not None
    )


def _fits(input: Tensor) -> bool:
    """Whether its values make rows of whole vectors, and there is more than one a channel."""
    return takes(input) and input.numel() % lcm(input.shape[1], LANES) == 0 and input.numel() > input.shape[1]


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, statistics: Any, limits: Limits) -> Tensor:
        running_mean, running_variance, eps, momentum = statistics
        output = torch.empty_like(input)
        mean, inverse = torch.empty_like(weight), torch.empty_like(weight)
        kernels(input.dtype).norm_forward(
            input.data_ptr(),
            output.data_ptr(),
            *_table(input),
            weight.data_ptr(),
            bias.data_ptr(),
            eps,
            momentum,
            running_mean.data_ptr(),
            running_variance.data_ptr(),
            mean.data_ptr(),
            inverse.data_ptr(),
            *limits,
        )
        ctx.save_for_backward(input, weight, bias, mean, inverse)
        ctx.limits = limits
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, bias, mean, inverse = ctx.saved_tensors
        gradient = gradients[0].to(input.dtype).contiguous(memory_format=torch.channels_last)
        of_input, of_weight, of_bias = torch.empty_like(input), torch.empty_like(weight), torch.empty_like(bias)
        kernels(input.dtype).norm_backward(
            gradient.data_ptr(),
            input.data_ptr(),
            of_input.data_ptr(),
            *_table(input),
            weight.data_ptr(),
            bias.data_ptr(),
            mean.data_ptr(),
            inverse.data_ptr(),
            of_weight.data_ptr(),
            of_bias.data_ptr(),
            *ctx.limits,
        )
        return of_input, of_weight, of_bias, None, None


def _table(input: Tensor) -> tuple[int, int, int]:
    """The picture's values as rows of lanes, a multiple of 16 and of the channels: rows, lanes, channels."""
    lanes = lcm(input.shape[1], LANES)
    return input.numel() // lanes, lanes, input.shape[1]
