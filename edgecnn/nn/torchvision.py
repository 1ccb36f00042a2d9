"""torchvision's classifiers by their names there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgecnn.errors import MissingExtra, UsageError, nearest
from edgecnn.nn.library import Shape, Statistics

if TYPE_CHECKING:
    from torch import nn

SIDE_BRANCHES = ("googlenet", "inception_v3")
"""Networks that also answer from their middle while they are trained: here without those branches. Their trained
weights change torchvision's usual pixels themselves, to a mean and std of a half."""


def build(name: str, shape: Shape, classes: int) -> nn.Module:
    """With torchvision's own first weights."""
    models = _models(name)
    extra: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in SIDE_BRANCHES else {}
    made: nn.Module = models.get_model(name, weights=None, num_classes=classes, **extra)
    return made


def statistics(name: str, channels: int) -> Statistics:
    """As the weights' own transforms say; all of them want colour."""
    transforms = _weights(name).transforms()
    if name in SIDE_BRANCHES:
        return Statistics((0.5,) * 3, (0.5,) * 3)
    return Statistics(tuple(map(float, transforms.mean)), tuple(map(float, transforms.std)))


def trained(name: str, shape: Shape) -> nn.Module:
    """With the best weights that torchvision has for it."""
    extra = {"aux_logits": False} if name in SIDE_BRANCHES else {}
    made: nn.Module = _models(name).get_model(name, weights=_weights(name), progress=False, **extra)
    return made


def _weights(name: str) -> Any:
    found = list(_models(name).get_model_weights(name))
    if not found:
        raise UsageError(f"torchvision has no trained weights for {name}; set model.weights to null")
    return type(found[0]).DEFAULT


def _models(name: str) -> Any:
    """torchvision.models, which knows a classifier by that name."""
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtra("model: {torchvision: ...}", "torchvision", "train") from error
    known = models.list_models(module=models)
    if name not in known:
        raise UsageError(f"torchvision has no classifier '{name}'{nearest(name, known)}")
    return models
