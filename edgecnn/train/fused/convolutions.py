"""What the convolutions here share: which they can stand for, in which type, and what they pad."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn

from edgecnn.geometry import Margins
from edgecnn.nn import blocks
from edgecnn.train.fused.compiled import takes

KINDS = (nn.Conv2d, blocks.Conv2d)
"""Torch's and our own networks', which may have uneven margins."""


def is_plain(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a convolution without an offset and without gaps in its filters, padded with zeros."""
    return (
        isinstance(module, nn.Conv2d)
        and type(module) in KINDS
        and module.bias is None
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def margins_of(conv: nn.Conv2d) -> Margins:
    """The zeros around its pictures."""
    if isinstance(conv, blocks.Conv2d):
        return conv.margins
    rows, columns = int(conv.padding[0]), int(conv.padding[1])
    return Margins(top=rows, bottom=rows, left=columns, right=columns)


def learns_from(conv: nn.Conv2d, input: Tensor) -> bool:
    """Whether a training step goes through it by pictures that the kernels read."""
    return conv.training and torch.is_grad_enabled() and takes(input)


def in_its_type(input: Tensor) -> Tensor:
    """The pictures in the type that the step computes in."""
    return input.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else input
