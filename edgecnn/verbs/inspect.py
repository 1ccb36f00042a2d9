"""`edgecnn inspect`: a recipe's or a run's network, layer by layer, without training or torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecnn import run as runs
from edgecnn.data import open_dataset
from edgecnn.nn.table import LayerRow
from edgecnn.packaged import find_recipe
from edgecnn.recipe import Recipe, load_recipe
from edgecnn.verbs.recipes import at, network_of
from edgecnn.verbs.train import data_spec


@dataclass(frozen=True)
class InspectRecord:
    """Trained values and multiply-adds of the whole network and of each layer."""

    name: str
    input: tuple[int, int, int]
    params: int
    macs: int
    layers: tuple[LayerRow, ...]
    schema: str = "edgecnn.inspect/1"


def inspect(recipe: Path | str, *, data_dir: Path | None = None) -> InspectRecord:
    """The network of a recipe or a run. RecipeError, UsageError where layers don't fit, UnusableFile."""
    given = Path(recipe)
    path = given / "resolved.yaml" if runs.is_run(given) else find_recipe(given)[0]
    loaded = load_recipe(path)
    shape = (loaded.input.channels, *loaded.input.size)
    with at(path, None, "data", "source"):
        classes = _classes(loaded, data_dir)
    network = network_of(loaded, classes, path)
    return InspectRecord(loaded.name, shape, network.params, network.macs, tuple(network.rows()))


def _classes(recipe: Recipe, data_dir: Path | None) -> int:
    """How many classes the pictures have, without opening them where the source is a registered one."""
    from edgecnn.data.sources import find_source

    if recipe.data.source is not None:
        return len(find_source(recipe.data.source).labels)
    return len(open_dataset(data_spec(recipe), data_dir).labels)
