"""The pictures that a recipe names, and those that a training reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.data import Dataset, DataSpec, open_dataset
from edgecnn.recipe import Recipe

if TYPE_CHECKING:
    from edgecnn.train.loader import Split


def data_spec(recipe: Recipe) -> DataSpec:
    """The recipe's pictures, in the words of the data room."""
    data, (height, width), resize = recipe.data, recipe.input.size, recipe.input.resize
    return DataSpec(
        data.source,
        data.folder,
        data.val_fraction,
        height,
        width,
        resize,
        data.broken,
        data.cache,
        data.splits,
        data.background,
        recipe.input.channels,
    )


def learned_from(recipe: Recipe, dataset: Dataset, data_dir: Path | None, say: Callable[[str], None]) -> Split:
    """What is learned from and judged by, of the recipe's data set; what a person should know of it is said.

    A folder's photos that crops are cut from are larger than the input (train/augment.py). Raises what loading does.
    """
    from edgecnn.train.augment import RESIZED, SPARE
    from edgecnn.train.loader import Split

    spec, cut_from = data_spec(recipe), dataset
    if spec.folder is not None and RESIZED in recipe.train.augment:
        larger = replace(spec, height=round(SPARE * spec.height), width=round(SPARE * spec.width))
        cut_from = open_dataset(larger, data_dir)
    pictures = Split(cut_from.load("train"), dataset.load("val"), tuple(dataset.labels))
    for note in dict.fromkeys((*cut_from.notes, *dataset.notes)):
        say(f"note: {note}")
    return pictures
