"""The optimizers, and their state as a flat set of named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgecnn.train.muon import Muon
from edgecnn.train.settings import Settings

Groups = list[dict[str, Any]]


def optimizer_of(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer asked for, of what learns; weight decay on weights of layers, on norms and biases only if asked."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    others = settings.weight_decay if settings.weight_decay_on == "all" else 0.0
    groups: Groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": others},
    ]
    return OPTIMIZERS[settings.optimizer](groups, settings)


def sgd(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov momentum."""
    return torch.optim.SGD(groups, lr=settings.lr0, momentum=settings.momentum, nesterov=settings.momentum > 0)


def adamw(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (arXiv:1711.05101); `momentum` is its first beta."""
    return torch.optim.AdamW(groups, lr=settings.lr0, betas=(settings.momentum, 0.999))


def muon(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    """Muon for the hidden layers' matrices, SGD for the rest: filters of one channel, the classifier, norms, biases."""
    (*hidden, classifier), decay = groups[0]["params"], groups[0]["weight_decay"]
    matrices = [p for p in hidden if p.shape[1] > 1]
    others = [*(p for p in hidden if p.shape[1] == 1), classifier]
    parts: Groups = [
        {"params": matrices, "weight_decay": decay, "orthogonal": True},
        {"params": others, "weight_decay": decay},
        *groups[1:],
    ]
    given = [part for part in parts if part["params"]]
    return Muon(given, settings.lr0, settings.momentum, getattr(torch, settings.dtype))


OPTIMIZERS: dict[str, Callable[[Groups, Settings], torch.optim.Optimizer]] = {"sgd": sgd, "adamw": adamw, "muon": muon}


def state_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer remembers, as "<parameter>/<what>" -> tensor."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Put back what `state_of` gave; each tensor in the memory layout of its parameter."""
    parameters = dict(model.named_parameters())
    for path, value in state.items():
        name, key = path.rsplit("/", 1)
        parameter = parameters[name]
        if value.shape == parameter.shape:
            held = torch.empty_like(parameter, requires_grad=False)
            held.copy_(value)
        else:
            held = value.clone()  # a count of steps
        optimizer.state[parameter][key] = held
