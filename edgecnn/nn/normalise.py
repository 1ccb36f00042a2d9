"""A first layer that brings our pixels to what trained weights want to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

NAME = "normalise"


class Normalise(nn.Conv2d):
    """float [N, C, H, W], (pixel - 128) / 128 -> (pixel / 255 - mean) / std; it does not learn.

    A 1x1 depthwise convolution, as imported models get one: it can't be folded into the next layer where that pads.
    Its values are the recipe's, not the checkpoint's: no state_dict has them.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(len(mean), len(mean), 1, groups=len(mean))
        wanted, spread = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        gain, offset = 128.0 / 255.0 / spread, (128.0 / 255.0 - wanted) / spread
        del self.weight, self.bias
        self.register_buffer("weight", gain.float().view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("bias", offset.float(), persistent=False)


def put_in_front(module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """The same module, which sees its pictures through a Normalise; the names of its own layers and tensors stay."""
    module.add_module(NAME, Normalise(mean, std))
    module.register_forward_pre_hook(_through)
    return module


def _through(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    image: Tensor = module.get_submodule(NAME)(given[0])
    return (image, *given[1:])
