"""What a recipe's `model.weights` names: a .safetensors file, or what a library has for its classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import packaged
from edgecnn import run as runs
from edgecnn.errors import UnusableFile, UsageError, nearest
from edgecnn.nn.library import library
from edgecnn.nn.network import Network
from edgecnn.recipe import Recipe, load_recipe
from edgecnn.recipe.schema import LIBRARIES, PRETRAINED, Model
from edgecnn.run import Run
from edgecnn.verbs.downloaded import downloaded
from edgecnn.verbs.recipes import at

if TYPE_CHECKING:
    from torch import nn

KEPT = Path("checkpoint") / "model.safetensors"
"""Where a packaged model keeps its weights (tools/package_model)."""


def find_weights(given: str) -> Path:
    """A run's best checkpoint, a file, or packaged weights; what lies there goes before packaged names.

    UnusableFile, with the names there are, where it is none of these.
    """
    path = Path(given).expanduser()
    if runs.is_run(path):
        return Run(path).best() / "model.safetensors"
    if path.is_file():
        return path
    found = packaged.find_model(given)
    if found is not None and (found / KEPT).is_file():
        return found / KEPT
    alone = packaged.find_weights(given)
    if alone is not None:
        return alone
    if path.is_dir():
        raise UnusableFile(f"{given}: is a folder, but no run; name a run, a .safetensors file or a packaged model")
    raise UnusableFile(f"{given}: there are no such weights{nearest(given, _packaged())}")


def with_pixels(recipe: Recipe, path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe with what its models' weights want to see; RecipeError where that can't be said."""
    with at(path, overrides, "model", "weights"):
        told: dict[str, Any] = {"model": told_pixels(recipe.model, recipe.input.channels)}
    if recipe.teacher is not None:
        with at(path, overrides, "teacher", "model", "weights"):
            model = told_pixels(recipe.teacher.model, recipe.input.channels)
        told["teacher"] = recipe.teacher.model_copy(update={"model": model})
    return recipe.model_copy(update=told)


def told_pixels(model: Model, channels: int) -> Model:
    """The model with what its weights want to see: of torchvision's and timm's that is not (pixel - 128) / 128.

    A run's weights want what the run's own model does, all others what the library's do, unless mean and std are given.
    UsageError for `pretrained` where no library has such weights.
    """
    if model.kind not in LIBRARIES:
        if model.weights == PRETRAINED and not Path(PRETRAINED).exists():
            raise UsageError(
                f"'weights: {PRETRAINED}' goes with torchvision and timm; for '{model.kind}' there are packaged ones: "
                f"{', '.join(_packaged())}"
            )
        return model
    if model.weights is None or model.mean is not None:
        return model
    run = None if model.weights == PRETRAINED else _run_of(Path(model.weights).expanduser())
    if run is not None:
        found = load_recipe(run.resolved).model
        return model.model_copy(update={"mean": found.mean, "std": found.std})
    wants = library(model.kind).statistics(getattr(model, model.kind), channels)
    return model.model_copy(update={"mean": wants.mean, "std": wants.std})


def take_first_weights(asked: Model, network: Network, model: nn.Module, say: Callable[[str], None]) -> str:
    """Put those that the recipe names into `model`, and say how many; the SHA-256 of their file.

    UnusableFile where they don't fit, Unreachable where a library can't download them.
    """
    from edgecnn.train.weights import take_trained, take_weights

    assert asked.weights is not None
    if asked.weights == PRETRAINED and asked.kind in LIBRARIES:
        name = getattr(asked, asked.kind)
        where = f"{asked.kind}'s trained weights of {name}"
        taken = take_trained(downloaded(asked.kind, name, network.input), model, where)
    else:
        where = str(path := find_weights(asked.weights))
        taken = take_weights(path, model)
    left = f"; the classifier ({', '.join(taken.left)}) starts anew" if taken.left else ""
    say(f"{taken.tensors} tensors taken from {where}{left}")
    if asked.mean is not None and asked.std is not None:
        say(f"a first layer brings pixels to what they want: mean {_numbers(asked.mean)}, std {_numbers(asked.std)}")
    return taken.sha256


def lasting_weights(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths of its first weights, which go on meaning the same in another folder."""
    update: dict[str, Any] = {"model": _lasting(recipe.model)}
    if recipe.teacher is not None:
        update["teacher"] = recipe.teacher.model_copy(update={"model": _lasting(recipe.teacher.model)})
    return recipe.model_copy(update=update)


def _lasting(model: Model) -> Model:
    return model if model.weights is None else model.model_copy(update={"weights": absolute_weights(model.weights)})


def absolute_weights(given: str) -> str:
    """The same weights by a path that goes on meaning them in another folder; others by their name."""
    path = Path(given).expanduser()
    return str(path.resolve()) if runs.is_run(path) or path.is_file() else given


def _packaged() -> list[str]:
    """The packaged weights that may be gone on with: of models, and alone."""
    models = [name for name in packaged.model_names() if (packaged.folder("models") / name / KEPT).is_file()]
    return models + packaged.weights_names()


def _run_of(path: Path) -> Run | None:
    """The run that is named, or that a checkpoint's file lies in: RUN/checkpoints/best/model.safetensors."""
    folders = (path, *path.resolve().parents[2:3])
    return next((Run(folder) for folder in folders if runs.is_run(folder)), None)


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
