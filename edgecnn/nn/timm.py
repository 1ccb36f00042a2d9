"""timm's classifiers by their names there; `NAME.TAG` names one of several trained weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgecnn.errors import MissingExtra, UsageError, nearest
from edgecnn.nn.library import Shape, Statistics

if TYPE_CHECKING:
    from torch import nn


def build(name: str, shape: Shape, classes: int) -> nn.Module:
    """With timm's own first weights."""
    return _made(name, shape, pretrained=False, num_classes=classes)


def statistics(name: str, channels: int) -> Statistics:
    """As the weights' own configuration says; for grey pictures the means over the colours."""
    found = _configuration(_timm(name), name)
    if found is None or not found.has_weights:
        raise UsageError(f"timm has no trained weights for {name}; set model.weights to null")
    mean, std = tuple(map(float, found.mean)), tuple(map(float, found.std))
    if len(mean) != channels:
        mean, std = (sum(mean) / len(mean),) * channels, (sum(std) / len(std),) * channels
    return Statistics(mean, std)


def trained(name: str, shape: Shape) -> nn.Module:
    """With trained weights, whose first layer timm adapts to grey pictures."""
    return _made(name, shape, pretrained=True)


def _made(name: str, shape: Shape, **how: Any) -> nn.Module:
    timm = _timm(name)
    fixed = getattr(_configuration(timm, name), "fixed_input_size", False)
    size = {"img_size": shape[1:]} if fixed else {}
    try:
        made: nn.Module = timm.create_model(name, in_chans=shape[0], **size, **how)
    except (TypeError, ValueError, AssertionError) as error:
        raise UsageError(
            f"timm can't make {name} for pictures of {shape[1]}x{shape[2]} with {shape[0]} channels: {error}"
        ) from error
    return made


def _configuration(timm: Any, name: str) -> Any:
    """What timm knows of the weights; None where it has nothing."""
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # a tag that is not there
        raise UsageError(f"timm has no trained weights '{name}': {error}") from error


def _timm(name: str) -> Any:
    """timm, which knows a classifier by that name."""
    try:
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise MissingExtra("model: {timm: ...}", "timm", "timm") from error
    if "/" in name or ":" in name or not timm.is_model(name):
        raise UsageError(f"timm has no classifier '{name}'{_near(name, timm.list_models())}")
    return timm


def _near(name: str, known: list[str]) -> str:
    """timm has over a thousand: they are not listed."""
    found = nearest(name, known)
    return found if "did you mean" in found else "; timm.list_models() lists them"
