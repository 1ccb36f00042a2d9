"""A run's best checkpoint, in torch, and as a network that can be exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecnn.data import Pictures, fingerprint, open_dataset
from edgecnn.edge.artifact import image_input
from edgecnn.errors import MissingExtra
from edgecnn.graph.canonical import IMAGE, canonical
from edgecnn.graph.edit import Array
from edgecnn.graph.trace import trace
from edgecnn.nn.network import plan_network
from edgecnn.recipe import Recipe
from edgecnn.recipe.schema import Export
from edgecnn.run import Run
from edgecnn.storage import sha256_file
from edgecnn.verbs.folders import Limits
from edgecnn.verbs.network import EVALUATED, Network, calibration_pictures
from edgecnn.verbs.pictures import data_spec
from edgecnn.verbs.recipes import network_of, recipe_of

if TYPE_CHECKING:
    from torch import nn

    from edgecnn.train.percentages import Percentages


def load_module(recipe: Recipe, run: Run, labels: tuple[str, ...]) -> nn.Module:
    """The run's best checkpoint as a torch module in eval mode; `labels` are the classes that it must have."""
    checkpoint = run.best()
    try:
        from edgecnn.train.checkpoint import load_model, read_state
    except ImportError as error:
        raise MissingExtra("exporting", error.name or "torch", "export") from error
    read_state(checkpoint).check_labels(labels, checkpoint)
    module = plan_network(recipe.model, (recipe.input.channels, *recipe.input.size), len(labels)).build()
    load_model(checkpoint, module)
    return module.eval()


def _parents(run: Run) -> dict[str, str]:
    """The checkpoint, the weights that its training began with, and its teacher's, where there are such -> SHA-256."""
    from edgecnn.train.checkpoint import read_state

    found = {"checkpoint": sha256_file(run.best() / "model.safetensors")}
    state = read_state(run.best())
    others = {"weights": state.weights, "teacher": state.teacher}
    return {**found, **{name: digest for name, digest in others.items() if digest is not None}}


def percentages_of(run: Run) -> Percentages | None:
    """What was fitted to the best checkpoint when its training ended; None where it has not."""
    from edgecnn.train.percentages import read_percentages

    return read_percentages(run.percentages, sha256_file(run.best() / "model.safetensors"))


def _fitted(run: Run, module: nn.Module, val: Pictures, output: str) -> Percentages:
    from edgecnn.train.percentages import fit_percentages

    checkpoint = sha256_file(run.best() / "model.safetensors")
    return fit_percentages(torch_outputs(module, val.images), val.classes, checkpoint, output)


def torch_outputs(module: nn.Module, images: Array, probabilities: bool = False) -> Array:
    """uint8 [N, H, W, C] -> float32 [N, K], as the training loop evaluates."""
    import torch

    from edgecnn.train.loader import normalise

    with torch.inference_mode():
        parts = (torch.from_numpy(np.array(images[i : i + 256])) for i in range(0, len(images), 256))
        logits = torch.cat([module(normalise(part)) for part in parts])
        return (logits.softmax(1) if probabilities else logits).numpy()


def network_of_run(
    run: Run, data_dir: Path | None, message: Callable[[str], None], export: Export | None = None
) -> Network:
    """The best checkpoint, traced; only train and val pictures are opened.

    export: what is made of it, where that isn't what its recipe says. RecipeError for int8 files that its layers can't
    be in.
    """
    recipe = recipe_of(run)
    recipe = recipe if export is None else recipe.model_copy(update={"export": export})
    dataset = open_dataset(data_spec(recipe), data_dir)
    labels, probabilities = tuple(dataset.labels), recipe.export.output == "probabilities"
    network_of(recipe, len(labels), run.resolved)
    message(f"tracing {run.path}")
    train = dataset.load("train")
    module = load_module(recipe, run, labels)
    height, width = recipe.input.size
    val = dataset.load("val")
    evaluated = val.images[:EVALUATED]
    percentages = percentages_of(run) or _fitted(run, module, val, recipe.export.output)
    return Network(
        name=recipe.name,
        labels=labels,
        input=image_input(IMAGE, recipe.input.size, recipe.input.channels, recipe.input.resize),
        output=recipe.export.output,
        fp32=canonical(trace(module, recipe.input.channels, height, width), probabilities),
        evaluated=evaluated,
        logits=torch_outputs(module, evaluated, probabilities),
        calibration=calibration_pictures(train, recipe.quantize.calibration.images),
        parents=_parents(run),
        limits=Limits(recipe.limits.drop_pp, recipe.limits.agreement),
        data=data_spec(recipe),
        train_data=fingerprint(train),
        temperature=percentages.temperature,
        unsure_below=percentages.unsure_below,
    )
