"""A moving average of the weights, which often is a better model than the weights themselves (arXiv:1803.05407)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

SHARE = 15
"""Of the whole training, one in so many steps is what the average looks back over at most."""


class Average:
    """average <- decay * average + (1 - decay) * weights, after each step; batch-norm statistics likewise.

    While training is young the average looks back over a tenth of it at most, as in TensorFlow's
    ExponentialMovingAverage: decay is at most (1 + steps) / (10 + steps). And it never looks back over more than a
    fifteenth of the whole training, so that what suits a long one does not spoil a short one.
    """

    def __init__(self, model: nn.Module, decay: float, whole: int) -> None:
        """`whole`: how many steps training will have."""
        self.decay = min(decay, 1.0 - SHARE / max(whole, 2 * SHARE))
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._floats, self._counts = _values(self.model)

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Take in the weights after `steps` steps."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        floats, counts = _values(model)
        torch._foreach_lerp_(self._floats, floats, 1.0 - decay)
        for mine, theirs in zip(self._counts, counts, strict=True):
            mine.copy_(theirs)


def _values(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Floating-point parameters and buffers, and the others (batch norm counts its batches)."""
    values = [*model.parameters(), *model.buffers()]
    return [v.detach() for v in values if v.is_floating_point()], [v for v in values if not v.is_floating_point()]
