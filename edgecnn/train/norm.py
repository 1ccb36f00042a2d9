"""Batch norm over the pictures of all processes, as if one process had them all.

torch's SyncBatchNorm refuses CPUs. This one sums a channel's count, sum and sum of squares over the processes with one
all-reduce forward, and two sums with another one back: the formulas of Ioffe and Szegedy (arXiv:1502.03167).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def share_statistics(model: nn.Module) -> None:
    """Turn every batch norm of `model` into one over all processes; parameters, buffers and names stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm1d or type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm  # type: ignore[assignment]


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """float [N, C, ...] -> the same; in evaluation like any batch norm."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [N, C, ...], got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the mean and variance over all processes, and move the running ones."""
        if not self.training:
            return super().forward(input)
        output, mean, variance, count = _Shared.apply(input, self.weight, self.bias, self.eps)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        normalised: Tensor = output
        return normalised


class _Shared(torch.autograd.Function):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values, axes = input.float(), [0, *range(2, input.dim())]
        count = torch.tensor([values.numel() / values.shape[1]], dtype=torch.float64, device=input.device)
        sums = torch.cat(
            [count, values.sum(axes, dtype=torch.float64), (values * values).sum(axes, dtype=torch.float64)]
        )
        dist.all_reduce(sums)
        count, total, squares = sums[:1], *sums[1:].chunk(2)
        mean = total / count
        variance = (squares / count - mean * mean).clamp_(min=0.0)
        inverse = (variance + eps).rsqrt()
        normalised = (values - _wide(mean.float(), input)) * _wide(inverse.float(), input)
        ctx.save_for_backward(normalised, weight, inverse.float(), count)
        output = (normalised * _wide(weight, input) + _wide(bias, input)).to(input.dtype)
        statistics = (mean.float(), variance.float(), count.float())
        ctx.mark_non_differentiable(*statistics)
        return output, *statistics

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        normalised, weight, inverse, count = ctx.saved_tensors
        gradient = gradients[0].float()
        axes = [0, *range(2, gradient.dim())]
        of_bias = gradient.sum(axes, dtype=torch.float64)
        of_weight = (gradient * normalised).sum(axes, dtype=torch.float64)
        sums = torch.cat([of_bias, of_weight])  # the optimizer gets this process's own; they are averaged later
        dist.all_reduce(sums)
        mean, along = (part / count for part in sums.chunk(2))
        centred = gradient - _wide(mean.float(), gradient) - normalised * _wide(along.float(), gradient)
        of_input = centred * _wide(weight * inverse, gradient)
        return of_input.to(gradients[0].dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype), None


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """[C] -> [1, C, 1, ...], to go with [N, C, ...]."""
    return values.view(1, -1, *[1] * (like.dim() - 2))
