"""A recipe with what it names: its pictures and its network. What does not fit together is said with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecnn.errors import Problem, RecipeError, UsageError
from edgecnn.nn.network import Network, plan_network
from edgecnn.recipe import Recipe, load_recipe, position
from edgecnn.run import Run


@contextmanager
def at(path: Path, overrides: Mapping[str, Any] | None, *place: str) -> Iterator[None]:
    """Say with `file:line:column` what the block finds wrong with this part of the recipe."""
    try:
        yield
    except RecipeError:
        raise
    except UsageError as error:
        raise RecipeError([Problem(position(path, place, overrides), str(error))]) from error


def located(recipe: Recipe, beside: Path) -> Recipe:
    """The recipe with absolute paths of its pictures, as far as they lie beside it or in the working folder.

    What lies in neither is left to the data room, which looks where data sets lie.
    """
    data = recipe.data
    found: dict[str, str] = {}
    for key, given, is_there in (
        ("folder", data.folder, Path.is_dir),
        ("splits", data.splits, Path.is_file),
        ("background", data.background, Path.is_dir),
    ):
        places = [base / Path(given).expanduser() for base in (beside, Path())] if given is not None else []
        there = [place for place in places if is_there(place)]
        if there:
            found[key] = str(there[0].resolve())
    return recipe.model_copy(update={"data": data.model_copy(update=found)})


def recipe_of(run: Run) -> Recipe:
    """What a run was trained by. Its list of splits is the copy in its folder, whatever becomes of the original."""
    return located(load_recipe(run.resolved), run.path)


def network_of(recipe: Recipe, classes: int, path: Path, overrides: Mapping[str, Any] | None = None) -> Network:
    """The recipe's network; RecipeError where its layers fit neither each other nor the classes, nor its int8 files."""
    with at(path, overrides, "model", recipe.model.kind):
        network = plan_network(recipe.model, (recipe.input.channels, *recipe.input.size), classes)
    check_int8(recipe, network, path, overrides)
    return network


def check_int8(recipe: Recipe, network: Network, path: Path, overrides: Mapping[str, Any] | None = None) -> None:
    """RecipeError, at each such layer, where int8 files are asked for and can't have it in int8."""
    if "int8" not in recipe.export.precisions or recipe.quantize.float_islands:
        return
    problems = [
        Problem(
            position(path, ("model", "layers", *island.place), overrides),
            f"{island.layer}: {island.word} has no int8 form in {', '.join(recipe.export.targets)}; export fp32 only "
            "(export.precisions: [fp32]), or let int8 files compute it in float (quantize.float_islands: true)",
        )
        for island in network.islands()
    ]
    if problems:
        raise RecipeError(problems)
