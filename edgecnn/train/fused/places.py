"""Where in a network the kernels can stand: what is replaced is its modules' classes, so weights and names stay."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from edgecnn.nn.relu6 import ReLU6
from edgecnn.train.fused import dense, depthwise, norm
from edgecnn.train.fused.compiled import kernels
from edgecnn.train.fused.norm import BatchNormActivation, Limits

LIMITS: dict[type[nn.Module], Limits] = {ReLU6: (0.0, 6.0), nn.ReLU6: (0.0, 6.0), nn.ReLU: (0.0, float("inf"))}
"""Activations that are a minimum and a maximum."""


def fuse(model: nn.Module, dtype: torch.dtype) -> int:
    """Have the kernels do what they can of a network's training, for pictures of a type; how many modules that is.

    Taken are batch norms, with the activation that follows them in a Sequential, depthwise convolutions, and others
    that matrix products are faster for.
    NotCompiled where there are no kernels to be had.
    """
    kernels(dtype)
    count = 0
    for module in list(model.modules()):
        if depthwise.can_be(module):
            module.__class__ = depthwise.BY_KERNELS[type(module)]
            count += 1
        elif dense.can_be(module):
            module.__class__ = dense.BY_PRODUCTS[type(module)]
            count += 1
        elif norm.can_be(module):
            module.__class__ = BatchNormActivation
            count += 1
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for first, second in pairwise(module):
                if type(first) is BatchNormActivation and type(second) in LIMITS:
                    first.limits = LIMITS[type(second)]
                    module._modules[_name(module, second)] = Done(first, second)
    return count


def _name(parent: nn.Module, child: nn.Module) -> str:
    return next(name for name, module in parent.named_children() if module is child)


class Done(nn.Module):
    """An activation that the batch norm before it does while it trains; in evaluation it is done here."""

    def __init__(self, norm: BatchNormActivation, activation: nn.Module) -> None:
        super().__init__()
        self._norm = (norm,)  # in a tuple it is no child of this module: its weights are named elsewhere
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        """Float [N, ...] -> the same."""
        if self._norm[0].training:
            return input
        output: Tensor = self.activation(input)
        return output
