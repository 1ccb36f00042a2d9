"""`edgecnn train`: a recipe, or a run to go on with -> a run folder with checkpoints, metrics and plots."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import run as runs
from edgecnn.data import Dataset, DataSpec, open_dataset
from edgecnn.errors import MissingExtra, UsageError
from edgecnn.metrics import confusion
from edgecnn.nn.network import Network
from edgecnn.packaged import find_recipe
from edgecnn.recipe import Recipe, dump_recipe, load_recipe
from edgecnn.run import Run
from edgecnn.verbs.recipes import at, network_of

if TYPE_CHECKING:
    from edgecnn.train.loop import Epoch, Progress, Settings, Trainer


@dataclass(frozen=True)
class TrainRecord:
    """What a training run came to; `val_top1` in 0..1 is the best epoch's, the one `export` takes."""

    run: Path
    epochs: int
    val_top1: float
    params: int
    macs: int
    images_per_s: float
    seconds: float
    schema: str = "edgecnn.train/1"


class Listener:
    """What a caller may want to hear while training goes on; by itself it hears nothing."""

    def message(self, text: str) -> None:
        """One sentence for the person watching."""

    def started(self, run: Path) -> None:
        """The run folder is there: from now on training can be gone on with."""

    def progress(self, progress: Progress) -> None:
        """A few times a second."""

    def epoch(self, epoch: Epoch) -> None:
        """After each epoch's validation."""


def train(
    recipe: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    data_dir: Path | None = None,
    root: Path = runs.RUNS,
    listener: Listener | None = None,
) -> TrainRecord:
    """Train a recipe in a new run folder, or go on with a run that was interrupted.

    Raises RecipeError, UnusableFile (data), UsageError (they don't fit together), Diverged, OutOfResources.
    """
    started = time.perf_counter()
    listener = listener or Listener()
    given = Path(recipe)
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
            listener.message(f"{given} is not here: taking the packaged recipe {path.name}")
        run, resolved = None, load_recipe(path, overrides)
    with at(path, overrides, "data", "source"):
        dataset = open_dataset(data_spec(resolved), data_dir)
    network = network_of(resolved, len(dataset.labels), path, overrides)
    resolved = choose(resolved)
    trainer_of = _prepare(resolved, dataset, network, listener.progress)
    for note in dataset.notes:
        listener.message(f"note: {note}")
    if run is None:
        run = runs.new_run(resolved.name, path.read_text(encoding="utf-8"), dump_recipe(resolved), root)
    listener.started(run.path)
    listener.message(f"run {run.path}: {network.params:,} parameters, {network.macs / 1e6:.2f} M multiply-adds")
    trainer = trainer_of(run)
    _train(run, trainer, listener)
    draw_plots(run, trainer)
    speeds = [line["images_per_s"] for line in run.read_metrics()]
    return TrainRecord(
        run=run.path,
        epochs=trainer.state.epoch,
        val_top1=trainer.state.best_val_top1,
        params=network.params,
        macs=network.macs,
        images_per_s=sum(speeds) / len(speeds),
        seconds=time.perf_counter() - started,
    )


def data_spec(recipe: Recipe) -> DataSpec:
    """The recipe's pictures, in the words of the data room; a folder by its absolute path."""
    height, width = recipe.input.size
    data = recipe.data
    folder = data.folder
    if folder is not None and Path(folder).expanduser().is_dir():
        folder = str(Path(folder).expanduser().resolve())
    return DataSpec(data.source, folder, data.val_fraction, height, width, recipe.input.resize)


def choose(recipe: Recipe) -> Recipe:
    """The recipe with device, precision and threads chosen for this machine, and its folder found."""
    torch = _torch()
    asked = recipe.train
    folder = data_spec(recipe).folder
    if asked.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("train.device=cuda, but torch sees no CUDA device here; use train.device=auto")
    device = asked.device if asked.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = asked.dtype if asked.dtype != "auto" else ("bfloat16" if device == "cuda" else "float32")
    threads = asked.threads or len(os.sched_getaffinity(0))
    chosen = asked.model_copy(update={"device": device, "dtype": dtype, "threads": threads})
    data = recipe.data.model_copy(update={"folder": folder})
    return recipe.model_copy(update={"train": chosen, "data": data})


def settings_of(recipe: Recipe) -> Settings:
    """The loop's settings, from a recipe in which every choice is made."""
    from edgecnn.train.loop import Settings

    values = recipe.train.model_dump(include={field.name for field in dataclasses.fields(Settings)})
    return Settings(**values)


def _torch() -> Any:
    """torch, after making sure that what checkpoints and plots want later is there too."""
    for library in ("torch", "safetensors", "matplotlib"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtra("training", library, "train")
    return importlib.import_module("torch")


def _prepare(
    recipe: Recipe, dataset: Dataset, network: Network, report: Callable[[Progress], None]
) -> Callable[[Run], Trainer]:
    """Load the pictures and build the model; what can go wrong does so before a run folder exists."""
    torch = _torch()
    from edgecnn.train.loop import Trainer, check_batch

    settings = settings_of(recipe)
    train_pictures, val_pictures = dataset.load("train"), dataset.load("val")
    check_batch(len(train_pictures.images), settings.batch)
    torch.manual_seed(settings.seed)
    model = network.build()
    labels = tuple(dataset.labels)
    return lambda run: Trainer(model, train_pictures, val_pictures, settings, labels, run.checkpoints, report)


def _train(run: Run, trainer: Trainer, listener: Listener) -> None:
    if trainer.resume():
        listener.message(f"going on after epoch {trainer.state.epoch} of {trainer.settings.epochs}")
    if run.metrics.exists():
        run.keep_metrics(trainer.state.epoch)
    for epoch in trainer.run(lambda epoch: run.add_metrics(dataclasses.asdict(epoch))):
        listener.epoch(epoch)


def draw_plots(run: Run, trainer: Trainer) -> None:
    """curves.png from metrics.jsonl; confusion.png of the best checkpoint on the validation split."""
    from edgecnn import plots
    from edgecnn.train import checkpoint

    plots.curves(run.read_metrics(), run.path / "curves.png")
    checkpoint.load_model(run.best(), trainer.model)
    predicted, right = trainer.val_predictions()
    table = confusion(predicted, right, len(trainer.labels))
    plots.confusion(table, trainer.labels, run.path / "confusion.png")
