"""The training loop: epochs of steps, validation, checkpoints.

All that decides the weights is drawn from (seed, epoch, step), so that a run which was stopped anywhere goes on to the
very weights it would have had; on a CPU to the bit, with the same threads and precision.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgecnn.errors import Diverged, Interrupted, UnusableFile, UsageError
from edgecnn.train.average import Average
from edgecnn.train.batches import Batch, Places, batch_of, order
from edgecnn.train.checkpoint import Checkpoints, State, Tensors
from edgecnn.train.distill import Teacher
from edgecnn.train.loader import Loader, Split, normalise, on_device
from edgecnn.train.meter import Meter
from edgecnn.train.optimizer import restore, state_of
from edgecnn.train.packed import pack, unpack
from edgecnn.train.processes import ALONE, Processes
from edgecnn.train.schedule import learning_rate
from edgecnn.train.settings import Epoch, Progress, Settings, Step
from edgecnn.train.step import Learner, memory_errors

SAVE_SECONDS = 600.0
"""A long epoch is saved on the way this often."""


class Journal(Protocol):
    """Who hears of a run, and writes its lines down.

    Lines are written before the checkpoint that they belong to: what was written for an epoch that didn't get that far
    can be cut away, but what is missing would be missing for good.
    """

    def steps(self, steps: list[Step]) -> None:
        """Lines of batches.jsonl."""

    def epoch(self, epoch: Epoch) -> None:
        """A line of metrics.jsonl."""

    def sync(self) -> None:
        """A checkpoint comes next: see that the lines so far outlive a power cut."""

    def progress(self, progress: Progress) -> None:
        """A few times a second."""

    def stop_requested(self) -> bool:
        """Asked before each step: whether to save and stop here."""

    def message(self, text: str) -> None:
        """One sentence for the person watching."""


class Trainer:
    """A model, its optimizer and its pictures; `run()` yields an Epoch as each one ends."""

    def __init__(
        self,
        model: nn.Module,
        pictures: Split,
        settings: Settings,
        checkpoints: Checkpoints,
        journal: Journal,
        processes: Processes = ALONE,
        weights: str | None = None,
    ) -> None:
        """weights: the SHA-256 of the file that `model` has its first weights from, where there is one."""
        self.settings, self.labels, self.processes = settings, pictures.labels, processes
        self.checkpoints, self.journal = checkpoints, journal
        self.learner = Learner(model, settings, processes)
        self.model, self.device = self.learner.model, self.learner.device
        self.loader = Loader(pictures.train, len(pictures.labels), settings.augment, self.device, pictures.size)
        self.val_images, self.val_classes = on_device(pictures.val, self.device)
        self.steps = len(self.loader) // settings.batch
        whole = self.steps * settings.epochs
        self.average = Average(self.model, settings.ema, whole) if settings.ema is not None else None
        self.state = State(0, 0.0, -1.0, 0, pictures.labels, pictures=self.loader.identity, weights=weights)
        self._saved = time.monotonic()

    @property
    def measured(self) -> nn.Module:
        """The model that validation measures and `best` keeps: the moving average where there is one."""
        return self.average.model if self.average else self.model

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.state.stopped_early or self.state.epoch >= self.settings.epochs

    def resume(self) -> bool:
        """Take up the newest whole checkpoint, if there is one."""
        found = self._newest()
        if found is None:
            return False
        tensors, self.state = found
        self.state.check_labels(self.labels, self.checkpoints.folder)
        self.state.check_pictures(self.loader.identity, self.checkpoints.folder)
        try:
            self.model.load_state_dict(dict(tensors.model))
            restore(self.model, self.learner.optimizer, tensors.optimizer)
            if self.average:
                self.average.model.load_state_dict(dict(tensors.average))
        except (RuntimeError, KeyError) as error:
            first = str(error).splitlines()[-1].strip()
            raise UnusableFile(f"{self.checkpoints.folder}: does not fit the recipe's model ({first})") from error
        return True

    def learn_from(self, teacher: Teacher, sha256: str) -> None:
        """Learn from its answers from now on. sha256: of its weights; UsageError where training began with others."""
        if self.state.teacher not in (None, sha256):
            raise UsageError(
                f"{self.checkpoints.folder}: learned from another teacher until now (its weights have the SHA-256 "
                f"{self.state.teacher}); bring that back or train anew"
            )
        self.state = replace(self.state, teacher=sha256)
        self.learner.learn_from(teacher)

    def _newest(self) -> tuple[Tensors, State] | None:
        """The first process reads: where it falls back to the checkpoint before, all of them do."""
        if self.processes.world == 1:
            return self.checkpoints.newest(self.journal.message)
        found = self.checkpoints.newest(self.journal.message) if self.processes.first else None
        return unpack(self.processes.from_first(pack(found)))

    def run(self) -> Iterator[Epoch]:
        """Train the epochs that are left; after each, validate and write `last` and, where it is better, `best`."""
        while not self.finished:
            started, steps_before = time.perf_counter(), self.state.step
            lr = self._epoch(self.state.epoch)
            trained = time.perf_counter() - started
            done = self._validated(lr)
            speed = (self.steps - steps_before) * self.settings.batch / trained
            done = replace(done, images_per_s=speed, seconds=time.perf_counter() - started)
            self.journal.epoch(done)
            self._end_epoch(done.val_top1)
            yield done

    # --- one epoch ----------------------------------------------------------------------------------------------------

    def _epoch(self, epoch: int) -> float:
        """The steps of an epoch that are left; the last learning rate."""
        self.learner.train()
        places = order(self.settings.seed, epoch, len(self.loader))
        meter = Meter(self)
        for step in range(self.state.step, self.steps):
            self._stop_here(meter, step)
            if self.state.step and time.monotonic() - self._saved > SAVE_SECONDS:
                meter.flush()
                self._save_within()
            batch = self._batch(places, step)
            loss, right = self._step(batch)
            meter.add(batch, loss, right)
        self._stop_here(meter, self.steps)
        meter.flush()
        return self._rate(epoch, self.steps - 1)

    def _batch(self, places: Places, step: int) -> Batch:
        settings, processes = self.settings, self.processes
        return batch_of(places, settings.batch, settings.seed, self.state.epoch, step, processes.rank, processes.world)

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Learn from one batch: its mean loss and how many were right, over all processes."""
        images, classes = self.loader.load(batch)
        torch.manual_seed(batch.torch_seed(1 + self.processes.rank))  # for dropout
        loss, right = self.learner.step(images, classes, self._rate(batch.epoch, batch.step))
        if self.average:
            self.average.update(self.model, batch.epoch * self.steps + batch.step + 1)
        if self.processes.world > 1:
            loss, right = self.processes.sum(torch.stack([loss.double(), right.double()]))
        return loss, right

    def _rate(self, epoch: int, step: int) -> float:
        return learning_rate(self.settings, epoch + step / self.steps)

    def _stop_here(self, meter: Meter, step: int) -> None:
        """Interrupted, with everything saved, where somebody asked any of the processes to stop."""
        if not self.processes.any(self.journal.stop_requested(), self.device):
            return
        meter.flush()
        if not (self.state.step or self.state.epoch):
            raise Interrupted("stopped before the first step")
        self._save_within()
        self.processes.wait()  # torchrun ends the others as soon as one of them leaves
        raise Interrupted(f"stopped after step {step} of {self.steps} in epoch {self.state.epoch + 1}, and saved")

    # --- validation ---------------------------------------------------------------------------------------------------

    def _validated(self, lr: float) -> Epoch:
        """The epoch's figures; each process measures its share of the validation pictures."""
        rank, world = self.processes.rank, self.processes.world
        classes = self.val_classes[rank::world]
        logits = self._logits(self.val_images[rank::world])
        loss = functional.cross_entropy(logits, classes, reduction="sum").double()
        right = (logits.argmax(1) == classes).sum().double()
        loss_sum, right_sum = (float(v) for v in self.processes.sum(torch.stack([loss, right])))
        count = len(self.val_classes)
        self._check_weights(loss_sum)
        state = self.state
        return Epoch(
            epoch=state.epoch + 1,
            train_loss=state.loss_sum / self.steps,
            train_top1=state.right / (self.steps * self.settings.batch),
            val_loss=loss_sum / count,
            val_top1=right_sum / count,
            lr=lr,
            images_per_s=0.0,  # these two are `run`'s to fill in
            seconds=0.0,
        )

    def _logits(self, images: Tensor) -> Tensor:
        """float32 [N, K] of the measured model, in batches, without augmentation; in float32, as it is exported."""
        model = self.measured.eval()
        parts = []
        with torch.inference_mode(), memory_errors(self.settings.batch):
            for part in torch.split(images, self.settings.batch):
                floats = normalise(part.to(self.device)).contiguous(memory_format=self.learner.layout)
                parts.append(model(floats))
        return torch.cat(parts)

    def val_answers(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 [N, K] logits and int64 [N] right classes of the validation split, by the weights as they are."""
        return self._logits(self.val_images).cpu().numpy(), self.val_classes.cpu().numpy()

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _end_epoch(self, val_top1: float) -> None:
        """Of equally good epochs the last is the best: few validation pictures can't tell it from a fluke."""
        before, epoch = self.state, self.state.epoch + 1
        better = val_top1 >= before.best_val_top1 or self.settings.keep == "last"
        best, best_epoch = (val_top1, epoch) if better else (before.best_val_top1, before.best_epoch)
        rose = epoch if val_top1 > before.best_val_top1 else (before.rose_epoch or before.best_epoch)
        patience = self.settings.patience
        early = patience is not None and epoch - rose >= patience and epoch < self.settings.epochs
        self.state = State(
            epoch,
            val_top1,
            best,
            best_epoch,
            self.labels,
            stopped_early=early,
            rose_epoch=rose,
            pictures=before.pictures,
            weights=before.weights,
            teacher=before.teacher,
        )
        if not self.processes.first:
            return
        self.journal.sync()
        tensors = self._tensors()
        if better:
            # Before `last`: where that can't be written any more, the epoch is done again and both come out right.
            self.checkpoints.save_best(replace(tensors, model=self.measured.state_dict(), average={}), self.state)
        self.checkpoints.save_last(tensors, self.state)
        self._saved = time.monotonic()

    def _save_within(self) -> None:
        """A checkpoint between two steps."""
        if self.processes.first:
            self._check_weights(0.0)
            self.journal.sync()
            self.checkpoints.save_last(self._tensors(), self.state)
        self._saved = time.monotonic()

    def _tensors(self) -> Tensors:
        average = self.average.model.state_dict() if self.average else {}
        return Tensors(self.model.state_dict(), state_of(self.model, self.learner.optimizer), average)

    def _check_weights(self, loss: float) -> None:
        """Diverged where a weight or the validation loss is no number: such a model is not saved."""
        finite = math.isfinite(loss) and all(bool(p.isfinite().all()) for p in self.model.parameters())
        if not finite:
            self.diverged(self.state.epoch, max(self.state.step, 1) - 1, math.nan, "")

    def diverged(self, epoch: int, step: int, loss: float, batch: str) -> None:
        """Raise Diverged, saying where; `step` counts from 0."""
        kept = f"the checkpoint of epoch {self.state.epoch} is kept: " if self.state.epoch else ""
        raise Diverged(
            f"the loss became {loss} in epoch {epoch + 1}, step {step + 1} (learning rate "
            f"{self._rate(epoch, step):.3g}{batch}); {kept}start again with a smaller train.lr0 than "
            f"{self.settings.lr0:g}"
        )


def check_batch(pictures: int, batch: int) -> None:
    """UsageError where the pictures don't fill one batch."""
    if pictures < batch:
        raise UsageError(
            f"{pictures} training pictures are fewer than one batch of {batch}; "
            f"set train.batch={max(2, pictures // 4)} or add pictures"
        )
