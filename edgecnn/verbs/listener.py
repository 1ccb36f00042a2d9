"""Who hears how training goes: callers, processes that keep quiet, and the run's own journal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.run import Run

if TYPE_CHECKING:
    from edgecnn.train.settings import Epoch, Progress, Step


TEACHERS = "teacher: "
"""In front of what is said of the training of a run's teacher."""


class Listener:
    """What a caller may want to hear while training goes on; by itself it hears nothing and never stops."""

    def message(self, text: str) -> None:
        """One sentence for the person watching."""

    def started(self, run: Path) -> None:
        """The run folder is there: from now on training can be gone on with."""

    def progress(self, progress: Progress) -> None:
        """A few times a second."""

    def epoch(self, epoch: Epoch) -> None:
        """After each epoch's validation."""

    def teacher_progress(self, progress: Progress) -> None:
        """As `progress`, while the run's teacher is trained."""
        self.progress(progress)

    def teacher_epoch(self, epoch: Epoch) -> None:
        """As `epoch`, of the run's teacher."""
        self.epoch(epoch)

    def stop_requested(self) -> bool:
        """Asked before each step; True saves and raises Interrupted."""
        return False


class Mute(Listener):
    """The listener of a process that is not the first: it may stop training, but isn't told anything."""

    def __init__(self, listener: Listener) -> None:
        self.inner = listener

    def stop_requested(self) -> bool:
        """What the listener says."""
        return self.inner.stop_requested()

    def started(self, run: Path) -> None:
        """From now on a signal saves first, here too."""
        self.inner.started(run)

    def steps(self, steps: Sequence[Step]) -> None:
        """The first process writes them down."""

    def sync(self) -> None:
        """Nothing is written here."""


class RunJournal:
    """Writes a run's lines into its folder, and passes on what a listener hears."""

    def __init__(self, run: Run, listener: Listener) -> None:
        self._run = run
        self.progress, self.message = listener.progress, listener.message
        self.stop_requested = listener.stop_requested

    def steps(self, steps: Sequence[Step]) -> None:
        """Lines of batches.jsonl."""
        self._run.batches.add([dataclasses.asdict(step) for step in steps])

    def sync(self) -> None:
        """See that both files outlive a power cut."""
        self._run.batches.sync()
        self._run.metrics.sync()

    def epoch(self, epoch: Epoch) -> None:
        """A line of metrics.jsonl."""
        self._run.metrics.add([dataclasses.asdict(epoch)])


class OfTeacher(Listener):
    """Hears of the training of a run's teacher, and says that it is that; the run is the one that is gone on with."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.progress, self.epoch = listener.teacher_progress, listener.teacher_epoch  # type: ignore[method-assign]
        self.stop_requested = listener.stop_requested  # type: ignore[method-assign]

    def message(self, text: str) -> None:
        """One sentence, with whom it is about."""
        self.listener.message(TEACHERS + text)


def of_teacher(listener: Listener) -> Listener:
    """For the training of its teacher; who is mute stays so."""
    return Mute(OfTeacher(listener.inner)) if isinstance(listener, Mute) else OfTeacher(listener)
