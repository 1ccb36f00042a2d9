"""`edgecnn inspect`: a recipe's or a run's network, layer by layer, without training or torch; or any model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn import run as runs
from edgecnn.data import open_dataset
from edgecnn.edge.artifact import MANIFEST, read_manifest
from edgecnn.edge.runtimes import SUFFIXES
from edgecnn.errors import UsageError
from edgecnn.nn.arithmetic import Explanation
from edgecnn.nn.memory import ActivationBytes
from edgecnn.nn.table import LayerRow, explain, peak
from edgecnn.packaged import find_model, find_recipe
from edgecnn.recipe import Recipe, load_recipe
from edgecnn.verbs.folders import EXPORT, find_artifact
from edgecnn.verbs.pictures import data_spec
from edgecnn.verbs.recipes import at, located, network_of
from edgecnn.verbs.weights import with_pixels

if TYPE_CHECKING:  # reading model files wants libraries that recipes do without
    from edgecnn.inspection.report import FileInspectRecord


@dataclass(frozen=True)
class InspectRecord:
    """Trained values and multiply-adds of the whole network and of each layer.

    peak_activation_bytes: the most that is alive at once, weights apart; nn.memory says what counts. explain: the
    formulas of the layer that was asked for. float_islands: the layers that the recipe's int8 files compute in float.
    """

    name: str
    input: tuple[int, int, int]
    params: int
    macs: int
    layers: tuple[LayerRow, ...]
    peak_activation_bytes: ActivationBytes
    explain: Explanation | None = None
    float_islands: tuple[str, ...] = ()
    schema: str = "edgecnn.inspect/1"


def inspect(
    given: Path | str, *, data_dir: Path | None = None, runtime: str | None = None, layer: str | None = None
) -> InspectRecord | FileInspectRecord:
    """The network of a recipe or a run; or a model file: itself, an artifact's, the first of an export or a packaged
    model.

    runtime: the engine that says how it runs a model file; the first that reads it otherwise. layer: the one whose
    formulas are wanted. RecipeError, UsageError where layers don't fit or there is no such layer, UnusableFile.
    """
    path = Path(given)
    if (path / EXPORT).is_file() or (not path.exists() and find_model(str(given)) is not None):
        path = find_artifact(given)
    if (path / MANIFEST).is_file():
        path = path / read_manifest(path).model
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        if layer is not None:
            raise UsageError(f"{path}: --explain is for recipes and runs: give the one that the file was made from")
        return inspect_file(path, runtime)
    if runtime is not None:
        raise UsageError(f"{path}: --runtime is for model files: {path} is a recipe or a run, which no engine runs")
    is_run = runs.is_run(path)
    path = path / "resolved.yaml" if is_run else find_recipe(path)[0]
    loaded = located(load_recipe(path), path.parent)
    if not is_run:
        loaded = with_pixels(loaded, path)
    shape = (loaded.input.channels, *loaded.input.size)
    with at(path, None, "data", "source"):
        classes = _classes(loaded, data_dir)
    network = network_of(loaded, classes, path)
    steps = network.steps()
    rows = tuple(step.row for step in steps)
    explained = None if layer is None else explain(steps, layer)
    islands = tuple(island.layer for island in network.islands()) if "int8" in loaded.export.precisions else ()
    taken = peak(network.input, steps)
    return InspectRecord(loaded.name, shape, network.params, network.macs, rows, taken, explained, islands)


def inspect_file(path: Path, runtime: str | None = None) -> FileInspectRecord:
    """A model file of any origin, looked through in a child process. UnusableFile, UsageError, MissingExtra."""
    from edgecnn.inspection.report import FileInspectRecord, look_through
    from edgecnn.records import from_json
    from edgecnn.verbs.model_files import ModelFile

    file = ModelFile(path, runtime)
    return from_json(FileInspectRecord, file.run(look_through, {"bytes": file.bytes}))


def _classes(recipe: Recipe, data_dir: Path | None) -> int:
    """How many classes the pictures have, without opening them where the source is a registered one."""
    from edgecnn.data.sources import find_source

    if recipe.data.source is not None:
        return len(find_source(recipe.data.source).labels)
    return len(open_dataset(data_spec(recipe), data_dir).labels)
