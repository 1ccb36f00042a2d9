"""Muon: the update of each weight matrix is made orthogonal, so that all its directions are learned at one rate.

Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/); matrices of one shape are worked on together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial a x + b x^3 + c x^5 that moves singular values towards 1: Jordan's, steep at 0."""
ITERATIONS = 5
SHARE = 0.2
"""Of lr0, for orthogonal updates. Chosen by ds_cifar's validation pictures after five epochs; 0.5 did as well there."""

LARGE = 256
"""Rows and columns from which on a matrix is made orthogonal in the type that the network is trained in. Jordan does it
in bfloat16 with all of them; smaller ones gain little by it."""


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum; in groups with `orthogonal`, its updates are made orthogonal.

    There the weight is a matrix [out, in * rows * columns], its update is multiplied by sqrt(out / in) where it has
    more rows than columns, and weight decay is decoupled: w <- (1 - lr * weight_decay) w, as in torch.optim.Muon.
    `dtype` is what large matrices are made orthogonal in.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float, dtype: torch.dtype = torch.float32
    ) -> None:
        self._dtype = dtype
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of all that has a gradient; `closure` is not taken."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            decay = group["weight_decay"]
            if group["orthogonal"]:
                updates = orthogonal(self._directions(parameters, 0.0, group["momentum"]), self._dtype)
                torch._foreach_mul_(parameters, 1.0 - group["lr"] * decay)
                torch._foreach_add_(parameters, updates, alpha=-SHARE * group["lr"])
            else:
                updates = self._directions(parameters, decay, group["momentum"])
                torch._foreach_add_(parameters, updates, alpha=-group["lr"])
        return None

    def _directions(self, parameters: list[Tensor], decay: float, momentum: float) -> list[Tensor]:
        """Where SGD with Nesterov momentum would go; the momentum is kept."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if decay:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
        for p in parameters:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        kept = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_mul_(kept, momentum)
        torch._foreach_add_(kept, gradients)
        return list(torch._foreach_add(gradients, kept, alpha=momentum))


def orthogonal(updates: list[Tensor], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Each [out, in, ...] as the nearest orthogonal matrix, about: singular values of 0.7 to 1.2, in place of its own.

    Times sqrt(out / in) where that is above 1. Those of LARGE rows and columns and more are worked on in `dtype`.
    """
    made = list(updates)
    shapes: dict[tuple[int, int], list[int]] = {}
    for place, update in enumerate(updates):
        shapes.setdefault((len(update), update[0].numel()), []).append(place)
    for (rows, columns), places in shapes.items():
        stack = torch.stack([updates[place].reshape(rows, columns) for place in places])
        work = stack.to(dtype) if min(rows, columns) >= LARGE else stack
        stack = newton_schulz(work).to(stack.dtype) * max(1.0, rows / columns) ** 0.5
        for place, matrix in zip(places, stack, strict=True):
            made[place] = matrix.reshape(updates[place].shape)
    return made


def newton_schulz(matrices: Tensor) -> Tensor:
    """U V^T of each float [n, rows, columns] = U S V^T, about: five steps of a polynomial of odd powers of it."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x
