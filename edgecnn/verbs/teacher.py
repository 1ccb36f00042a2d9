"""The larger network that a recipe's `teacher` describes: what it is trained by, and what becomes of its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.nn.network import Network, plan_network
from edgecnn.recipe import Recipe
from edgecnn.run import TEACHER, Run
from edgecnn.verbs.recipes import at

if TYPE_CHECKING:
    from edgecnn.train.distill import Teacher


def teacher_of(
    recipe: Recipe, classes: int, path: Path, overrides: Mapping[str, Any] | None
) -> tuple[Recipe, Network] | None:
    """What its teacher is trained by: a recipe, and its network; None where it has none. RecipeError with the place."""
    asked = recipe.teacher
    if asked is None:
        return None
    model = asked.model
    with at(path, overrides, "teacher", "model", model.kind):
        network = plan_network(model, (recipe.input.channels, *recipe.input.size), classes)
    given = asked.model_dump(include={"epochs", "lr0"}, exclude_none=True)
    train = recipe.train.model_copy(update={**given, "freeze": asked.freeze})
    return recipe.model_copy(update={"name": TEACHER, "model": model, "train": train, "teacher": None}), network


def trained_teacher(recipe: Recipe, network: Network, run: Run) -> Teacher:
    """The network with the best weights of its run, for the recipe whose teacher it is."""
    from edgecnn.train.checkpoint import load_model

    teacher = untrained(recipe, network)
    load_model(run.best(), teacher.model)
    return teacher


def untrained(recipe: Recipe, network: Network) -> Teacher:
    """The recipe's teacher as it is before its training, which answers as fast as afterwards."""
    from edgecnn.train.distill import Teacher

    assert recipe.teacher is not None
    return Teacher(network.build(), recipe.teacher.temperature, recipe.teacher.alpha)
