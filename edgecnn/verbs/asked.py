"""What a recipe asks to be trained: its pictures, its network and its teacher, looked at before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecnn import run as runs
from edgecnn.data import Dataset, open_dataset
from edgecnn.data.listed import list_bytes
from edgecnn.errors import UsageError
from edgecnn.nn.network import Network
from edgecnn.packaged import find_recipe
from edgecnn.recipe import Recipe, dump_recipe, load_recipe
from edgecnn.run import Run
from edgecnn.verbs.pictures import data_spec
from edgecnn.verbs.recipes import at, located, network_of
from edgecnn.verbs.teacher import teacher_of
from edgecnn.verbs.weights import with_pixels


@dataclass(frozen=True)
class Asked:
    """A recipe with what it names. path, overrides: where it is from, for what is wrong with it."""

    path: Path
    overrides: Mapping[str, Any] | None
    text: str
    recipe: Recipe
    dataset: Dataset
    network: Network
    data_dir: Path | None
    teacher: Asked | None = None
    """What the training of its teacher asks for."""

    def splits(self) -> bytes | None:
        """The list of the pictures' splits, where the recipe names one."""
        return list_bytes(data_spec(self.recipe), self.data_dir)

    def of_teacher(self) -> Asked | None:
        """RecipeError, with its place, where its teacher can't be."""
        found = teacher_of(self.recipe, len(self.dataset.labels), self.path, self.overrides)
        if found is None:
            return None
        recipe, network = found
        return replace(self, text=dump_recipe(recipe), recipe=recipe, network=network)

    def check_freeze(self) -> None:
        """RecipeError, with its place, where a network has no such layers."""
        with at(self.path, self.overrides, "train", "freeze"):
            _check_freeze(self.network, self.recipe.train.freeze)
        if self.teacher is not None:
            with at(self.path, self.overrides, "teacher", "freeze"):
                _check_freeze(self.teacher.network, self.teacher.recipe.train.freeze)


def ask_for(
    given: Path, overrides: Mapping[str, Any] | None, data_dir: Path | None, say: Callable[[str], None]
) -> tuple[Asked, Run | None]:
    """What a recipe or a run asks for, and the run where it is one. Raises RecipeError, UnusableFile, UsageError."""
    if runs.is_run(given):
        if overrides:
            raise UsageError(
                f"{given}: a run goes on as it began; to change {', '.join(overrides)} train its recipe anew"
            )
        run: Run | None = Run(given)
        path = Run(given).resolved
        resolved = load_recipe(path)
    else:
        path, packaged = find_recipe(given)
        if packaged:
            say(f"{given} is not here: taking the packaged recipe {path.name}")
        run, resolved = None, load_recipe(path, overrides)
    resolved = located(resolved, path.parent)
    with at(path, overrides, "data", "source"):
        dataset = open_dataset(data_spec(resolved), data_dir)
    if run is None:  # a run says what its weights want to see, whatever became of them
        resolved = with_pixels(resolved, path, overrides)
    network = network_of(resolved, len(dataset.labels), path, overrides)
    asked = Asked(path, overrides, path.read_text(encoding="utf-8"), resolved, dataset, network, data_dir)
    return replace(asked, teacher=asked.of_teacher()), run


def _check_freeze(network: Network, what: int | str | None) -> None:
    """UsageError where the network has no such layers, on a copy of it that has no values."""
    if what is not None:
        import torch

        from edgecnn.train.freeze import freeze

        with torch.device("meta"):
            freeze(network.build(), what)
