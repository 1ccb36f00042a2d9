"""The figures of an epoch under way: written down by step, reported a few times a second, Diverged at the first NaN."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from edgecnn.train.batches import Batch
from edgecnn.train.schedule import learning_rate
from edgecnn.train.settings import Progress, Step

if TYPE_CHECKING:
    from edgecnn.train.loop import Trainer

REPORT_SECONDS = 0.25


class Meter:
    """The figures of an epoch under way. Losses stay on the device until somebody looks: that waits for a GPU."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._waiting: list[tuple[Batch, Tensor, Tensor]] = []
        self._first, self._started, self._said = trainer.state.step, time.perf_counter(), 0.0

    def add(self, batch: Batch, loss: Tensor, right: Tensor) -> None:
        """Take in a step; a few times a second, look at what came in and report."""
        self._waiting.append((batch, loss, right))
        now = time.perf_counter()
        if now - self._said > REPORT_SECONDS:
            self._said = now
            self.flush()
            self._report(now - self._started, float(loss))

    def flush(self) -> None:
        """Read what is waiting, write it down, and move the trainer's state to here; Diverged at the first NaN."""
        trainer, lines = self._trainer, []
        for batch, loss, right in self._waiting:
            value = float(loss)
            if not math.isfinite(value):
                trainer.diverged(batch.epoch, batch.step, value, f", pictures {self._names(batch)}")
            rate = learning_rate(trainer.settings, batch.epoch + batch.step / trainer.steps)
            lines.append(Step(batch.epoch + 1, batch.step + 1, rate, value, batch.digest))
            state = trainer.state
            trainer.state = replace(
                state, step=batch.step + 1, loss_sum=state.loss_sum + value, right=state.right + int(right)
            )
        self._waiting = []
        trainer.journal.steps(lines)

    def _names(self, batch: Batch) -> str:
        names = [self._trainer.loader.names[i] for i in batch.pictures[:3]]
        return f"{', '.join(names)} and {len(batch.pictures) - len(names)} more"

    def _report(self, seconds: float, loss: float) -> None:
        trainer, settings = self._trainer, self._trainer.settings
        state = trainer.state
        speed = (state.step - self._first) * settings.batch / seconds
        left = ((settings.epochs - state.epoch) * trainer.steps - state.step) * settings.batch / speed
        trainer.journal.progress(
            Progress(state.epoch + 1, settings.epochs, state.step, trainer.steps, loss, speed, left)
        )
