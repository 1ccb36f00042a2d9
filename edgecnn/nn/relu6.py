"""ReLU6 that remembers what it gave, not what it got.

torch's keeps its input for the way back, beside the output that the next layer keeps anyway. The gradient is the same
told from either, and steps at 32x32 on a CPU are bound by memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ReLU6(nn.ReLU6):
    """Float [N, ...] -> the same, cut off at 0 and 6."""

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(input)
        output: Tensor = _Clamped.apply(input)
        return output


class _Clamped(torch.autograd.Function):
    """clamp; back, a gradient passes where the output lies between the ends, which is where the input did."""

    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        output = input.clamp(0.0, 6.0)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        (gradient,) = gradients
        of_input: Tensor = torch.ops.aten.hardtanh_backward(gradient, output, 0.0, 6.0)
        return of_input
