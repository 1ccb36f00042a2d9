"""Layers that don't learn: their weights stay, and so do the statistics of their batch norms."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgecnn.errors import UsageError, nearest
from edgecnn.train.weights import classifier_of

BACKBONE = "backbone"


def freeze(model: nn.Module, what: int | str | None) -> tuple[nn.Module, ...]:
    """Keep the first layers of `model` from learning; returns their batch norms, which are to stay in eval mode.

    what: how many layers, as `inspect` lists them; `backbone`, all but the classifier; or the name of the last one.
    Frozen are always all layers up to one, so that no gradient is worked out below it. UsageError for an unknown name
    and where nothing would be left to learn.
    """
    if what is None:
        return ()
    modules = _frozen(model, what)
    for module in modules:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(f"freezing {what!r} leaves nothing to learn; `freeze: {BACKBONE}` leaves the classifier")
    return tuple(module for module in modules if isinstance(module, _BatchNorm))


def _frozen(model: nn.Module, what: int | str) -> list[nn.Module]:
    """The modules, inner ones included, in the order in which they were put together."""
    modules = list(model.named_modules())
    names = [name for name, _ in modules]
    if what == BACKBONE:
        classifier = classifier_of(model.state_dict())[0].rpartition(".")[0]
        return [module for _, module in modules[: names.index(classifier)]]
    layers = [name for name, _ in model.named_children()]
    if isinstance(what, int):
        if what > len(layers):
            raise UsageError(f"can't freeze {what} layers: the model has {len(layers)}, {layers[0]} to {layers[-1]}")
        what = layers[what - 1]
    if not what or what not in names:
        raise UsageError(f"there is no layer '{what}'{nearest(what, [*layers, BACKBONE])}")
    inside = [name == what or name.startswith(f"{what}.") for name in names]
    end = max(place for place, is_inside in enumerate(inside, start=1) if is_inside)
    return [module for _, module in modules[:end]]
