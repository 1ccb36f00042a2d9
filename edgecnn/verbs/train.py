"""`edgecnn train`: a recipe, or a run to go on with -> a run folder with checkpoints, metrics and plots."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import run as runs
from edgecnn.errors import MissingExtra, UnusableFile
from edgecnn.nn.network import Network
from edgecnn.recipe import Recipe, dump_recipe
from edgecnn.run import Run
from edgecnn.storage import sha256_file
from edgecnn.verbs.asked import Asked, ask_for
from edgecnn.verbs.best import Answers, look_at
from edgecnn.verbs.choices import choose, settings_of
from edgecnn.verbs.listener import Listener, Mute, RunJournal, of_teacher
from edgecnn.verbs.pictures import learned_from
from edgecnn.verbs.teacher import trained_teacher
from edgecnn.verbs.weights import lasting_weights, take_first_weights

if TYPE_CHECKING:
    from torch import nn

    from edgecnn.train.loader import Split
    from edgecnn.train.loop import Trainer
    from edgecnn.train.percentages import Percentages
    from edgecnn.train.processes import Processes


@dataclass(frozen=True)
class TrainRecord:
    """What a training run came to; `val_top1` and `per_class`, in 0..1, are the best epoch's, the one `export` takes.

    `epochs` were trained: fewer than the recipe's where `patience` ended it.
    """

    run: Path
    epochs: int
    best_epoch: int
    val_top1: float
    per_class: Mapping[str, float]
    params: int
    macs: int
    images_per_s: float
    seconds: float
    percentages: Percentages | None = None
    """Fitted by the first process; None in the others."""
    teacher: TrainRecord | None = None
    """What the training of its teacher came to, where it had one to train or to look at again."""
    schema: str = "edgecnn.train/1"


def train(
    recipe: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    data_dir: Path | None = None,
    root: Path = runs.RUNS,
    listener: Listener | None = None,
) -> TrainRecord:
    """Train a recipe in a new run folder, or go on with a run that was interrupted.

    Started by torchrun, the processes train together; only the first of them writes and is heard.
    Raises RecipeError, UnusableFile (data, checkpoints), UsageError (they don't fit together), Diverged,
    OutOfResources, Interrupted.
    """
    started = time.perf_counter()
    listener = listener or Listener()
    asked, run = ask_for(Path(recipe), overrides, data_dir, listener.message)
    _need_torch()
    asked.check_freeze()
    from edgecnn.train.processes import joined

    with joined() as processes:
        heard = listener if processes.first else Mute(listener)
        return Training(asked, run, root, heard, processes).run_through(started)


class Training:
    """From what was asked to a finished run."""

    def __init__(self, asked: Asked, run: Run | None, root: Path, listener: Listener, processes: Processes) -> None:
        self.asked, self.given_run, self.root = asked, run, root
        self.listener, self.processes = listener, processes

    def run_through(self, started: float) -> TrainRecord:
        """Prepare, train, plot; what can go wrong beforehand does so before a run folder exists."""
        trainer, run = self._prepared()
        with run.held() if self.processes.first else nullcontext():
            return self._trained(trainer, run, started)

    def _trained(self, trainer: Trainer, run: Run, started: float) -> TrainRecord:
        if self.processes.first:
            run.sweep()  # before looking for checkpoints: it brings back one that was being replaced
            trainer.checkpoints.sweep()
        if trainer.resume():
            self.listener.message(self._going_on(trainer))
        teacher = None if trainer.finished else self._taught(run, trainer)
        if self.processes.first:
            self._check_best(run, trainer)
            run.metrics.keep(trainer.state.epoch)
            run.batches.keep(trainer.state.epoch * trainer.steps + trainer.state.step)
        for epoch in trainer.run():
            self.listener.epoch(epoch)
        if trainer.state.stopped_early:
            self.listener.message(
                f"no better validation accuracy in {trainer.settings.patience} epochs: training ends here"
            )
        output = self.asked.recipe.export.output
        answers = look_at(run, trainer, output) if self.processes.first else Answers({}, None)
        record = self._record(run, trainer, answers, time.perf_counter() - started)
        return replace(record, teacher=teacher)

    def _taught(self, run: Run, trainer: Trainer) -> TrainRecord | None:
        """Train the recipe's teacher, as a run in the run, or go on with it; from now on `trainer` learns from it."""
        if self.asked.teacher is None:
            return None
        heard = of_teacher(self.listener)
        begun = self._agreed(run.teacher.path if self.processes.first and run.teacher else None)
        asked, given = ask_for(begun, None, self.asked.data_dir, heard.message) if begun else (self.asked.teacher, None)
        record = Training(asked, given, run.path, heard, self.processes).run_through(time.perf_counter())
        self.processes.wait()  # the first one may still be writing the weights
        weights = Run(record.run).best() / "model.safetensors"
        trainer.learn_from(trained_teacher(self.asked.recipe, asked.network, Run(record.run)), sha256_file(weights))
        heard.message(f"val {100 * record.val_top1:.2f} %; {run.path} learns from its answers")
        return record

    def _prepared(self) -> tuple[Trainer, Run]:
        from edgecnn.train.loop import check_batch

        asked, listener = self.asked, self.listener
        pictures = learned_from(asked.recipe, asked.dataset, asked.data_dir, listener.message)
        check_batch(len(pictures.train), asked.recipe.train.batch)
        model = _model(asked.network, asked.recipe.train.seed)
        taken = self._weights(model)
        recipe, teacher = self._begun_as(asked.recipe), asked.teacher.network if asked.teacher else None
        recipe = choose(recipe, asked.network, pictures, self.processes, listener.message, teacher)
        run = self._run(lasting_weights(recipe))
        listener.started(run.path)
        network = asked.network
        listener.message(f"run {run.path}: {network.params:,} parameters, {network.macs / 1e6:.2f} M multiply-adds")
        return self._trainer(model, pictures, recipe, run, taken), run

    def _begun_as(self, recipe: Recipe) -> Recipe:
        """What a begun run was trained with, where its recipe is older than a choice."""
        if self.given_run is None or not self.given_run.begun or recipe.train.fused != "auto":
            return recipe
        return recipe.model_copy(update={"train": recipe.train.model_copy(update={"fused": False})})

    def _weights(self, model: nn.Module) -> str | None:
        """Take the first weights that the recipe names; the SHA-256 of their file. A run that goes on has its own."""
        run, teacher = self.given_run, self.asked.teacher
        if teacher is not None and teacher.recipe.model.weights is not None and (run is None or run.teacher is None):
            take_first_weights(teacher.recipe.model, teacher.network, teacher.network.build(), lambda _: None)
        if self.asked.recipe.model.weights is None or (run is not None and run.begun):
            return None
        return take_first_weights(self.asked.recipe.model, self.asked.network, model, self.listener.message)

    def _trainer(self, model: nn.Module, pictures: Split, recipe: Recipe, run: Run, weights: str | None) -> Trainer:
        from edgecnn.train.checkpoint import Checkpoints
        from edgecnn.train.loop import Trainer

        journal = self.listener if isinstance(self.listener, Mute) else RunJournal(run, self.listener)
        settings, checkpoints = settings_of(recipe.train), Checkpoints(run.checkpoints)
        return Trainer(model, pictures, settings, checkpoints, journal, self.processes, weights)

    def _run(self, recipe: Recipe) -> Run:
        """The run's folder: the one given, or a new one, made by the first process."""
        run = self.given_run
        if run is None and self.processes.first:
            splits = self.asked.splits()
            if splits is not None:
                recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"splits": runs.SPLITS})})
            run = runs.new_run(recipe.name, self.asked.text, dump_recipe(recipe), self.root, splits)
        made = self._agreed(run.path if run else None)
        assert made is not None, "the first process has made it"
        return Run(made)

    def _agreed(self, path: Path | None) -> Path | None:
        """The first process's path, or that it has none."""
        return Path(said) if (said := self.processes.from_first(str(path or "").encode()).decode()) else None

    def _check_best(self, run: Run, trainer: Trainer) -> None:
        """UnusableFile, before hours of training, where the best checkpoint so far is missing or damaged."""
        from edgecnn.train import checkpoint

        if trainer.state.epoch:
            try:
                checkpoint.read(run.checkpoints / "best")
            except UnusableFile as error:
                raise UnusableFile(
                    f"{error}; copy {run.checkpoints / 'last'} in its place to go on from the last epoch's weights"
                ) from error

    def _going_on(self, trainer: Trainer) -> str:
        state, settings = trainer.state, trainer.settings
        if trainer.finished:
            return f"this run is finished, after epoch {state.epoch} of {settings.epochs}"
        within = f", step {state.step} of {trainer.steps}" if state.step else ""
        return f"going on after epoch {state.epoch} of {settings.epochs}{within}"

    def _record(self, run: Run, trainer: Trainer, answers: Answers, seconds: float) -> TrainRecord:
        speeds = [line["images_per_s"] for line in run.metrics.read()]
        return TrainRecord(
            run=run.path,
            epochs=trainer.state.epoch,
            best_epoch=trainer.state.best_epoch,
            val_top1=trainer.state.best_val_top1,
            per_class=answers.per_class,
            percentages=answers.percentages,
            params=self.asked.network.params,
            macs=self.asked.network.macs,
            images_per_s=sum(speeds) / max(1, len(speeds)),
            seconds=seconds,
        )


def first_process() -> bool:
    """Whether this process is the one that speaks: the only one, or the first of those that torchrun started."""
    from edgecnn.train.processes import started

    return started().first


def _need_torch() -> None:
    """What checkpoints and plots want later is looked for now."""
    for library in ("torch", "torchvision", "safetensors", "matplotlib"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtra("training", library, "train")


def _model(network: Network, seed: int) -> nn.Module:
    """The network with its first weights."""
    import torch

    torch.manual_seed(seed)
    return network.build()
