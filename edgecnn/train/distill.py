"""Learning from a larger network's answers: knowledge distillation (Hinton et al., arXiv:1503.02531).

A true class says what a picture is of; a teacher's answer says also how much it looks like the others. With crops and
mixtures that both see, and patience, a small network comes close to its teacher (Beyer et al., arXiv:2106.05237).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Teacher:
    """model: a trained network, float [N, C, H, W] -> logits [N, K] of the student's classes.

    temperature softens the answers of both; alpha is their share of the loss, the rest is that of the true classes.
    """

    model: nn.Module
    temperature: float
    alpha: float

    def loss(self, images: Tensor, logits: Tensor, of_classes: Tensor) -> Tensor:
        """Of a batch, summed, by the student's float32 [n, K] logits; of_classes: the loss of the true classes."""
        with torch.no_grad():
            wanted = self.model(images).float()
        return self.alpha * unlike(logits, wanted, self.temperature) + (1.0 - self.alpha) * of_classes


def unlike(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """The Kullback-Leibler divergence of answers from those of a teacher, float [n, K] logits both, summed over n.

    At a temperature T both are softened; its square keeps the gradients' size.
    """
    soft = functional.softmax(wanted / temperature, 1)
    return temperature**2 * functional.kl_div(functional.log_softmax(logits / temperature, 1), soft, reduction="sum")
