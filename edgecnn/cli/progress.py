"""Progress on stderr: a bar with time left on a terminal, else a line an epoch or every ten seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edgecnn.cli.options import Voice
from edgecnn.cli.signals import StopSignals
from edgecnn.errors import EdgecnnError, Interrupted
from edgecnn.verbs.listener import TEACHERS, Listener

if TYPE_CHECKING:
    from edgecnn.train.settings import Epoch
    from edgecnn.train.settings import Progress as TrainingProgress

EVERY = 10.0
"""Seconds between lines where there is no terminal."""


class TrainingView(Listener):
    """What a person sees of a training run."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=voice.quiet or not self._console.is_terminal or os.environ.get("RANK", "0") != "0",
        )
        self._task = self._bar.add_task("training", total=None, epoch="", note="")
        self._said = time.monotonic()
        self._run: Path | None = None
        self.signals = StopSignals(self.message)

    def __enter__(self) -> TrainingView:
        self.signals.__enter__()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self.signals.__exit__(kind, error, trace)
        by_a_signal = kind is not None and (issubclass(kind, Interrupted) or not issubclass(kind, EdgecnnError))
        if self._run is not None and by_a_signal:
            self._print(f"`edgecnn train {self._run}` goes on from here")

    def started(self, run: Path) -> None:
        """Remember the folder, to say how to go on where a signal ends training."""
        self._run = run
        self.signals.arm()

    def stop_requested(self) -> bool:
        """Whether a signal came."""
        self.signals.tell()
        return self.signals.number != 0

    def message(self, text: str) -> None:
        """A sentence above the bar."""
        self._print(text)

    def progress(self, progress: TrainingProgress) -> None:
        """Move the bar, or say a line every ten seconds."""
        self._progress("", progress)

    def teacher_progress(self, progress: TrainingProgress) -> None:
        """As `progress`, with whose it is."""
        self._progress(TEACHERS, progress)

    def epoch(self, epoch: Epoch) -> None:
        """One line an epoch."""
        self._print(_line(epoch))

    def teacher_epoch(self, epoch: Epoch) -> None:
        """As `epoch`, with whose it is."""
        self._print(TEACHERS + _line(epoch))

    def _progress(self, whose: str, progress: TrainingProgress) -> None:
        done = (progress.epoch - 1) * progress.steps + progress.step
        note = (
            f"loss {progress.loss:.3f}  {progress.images_per_s:,.0f} images/s  {duration(progress.seconds_left)} left"
        )
        counted = f"{whose}epoch {progress.epoch}/{progress.epochs}"
        self._bar.update(self._task, total=progress.epochs * progress.steps, completed=done, epoch=counted, note=note)
        if not self._console.is_terminal and time.monotonic() - self._said >= EVERY:
            self._print(f"{counted}, step {progress.step}/{progress.steps}: {note}")

    def _print(self, text: str) -> None:
        self._said = time.monotonic()
        if not self._voice.quiet:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _line(epoch: Epoch) -> str:
    return (
        f"epoch {epoch.epoch:>3}  loss {epoch.train_loss:.3f}  train {100 * epoch.train_top1:5.2f} %  "
        f"val {100 * epoch.val_top1:5.2f} %  {epoch.images_per_s:,.0f} images/s  {epoch.seconds:.0f} s"
    )


@contextmanager
def download(voice: Voice, name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for a download; the function takes bytes so far and bytes in all."""
    console = Console(stderr=True)
    hidden = voice.quiet or not console.is_terminal
    columns = (TextColumn(f"{name}"), BarColumn(bar_width=None), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


@contextmanager
def counted(voice: Voice, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for things that are counted, or a line every ten seconds; the function takes how many are done, and all."""
    console = Console(stderr=True)
    hidden = voice.quiet or not console.is_terminal
    columns = (TextColumn(what), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    said = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            nonlocal said
            bar.update(task, completed=done, total=total)
            if not console.is_terminal and time.monotonic() - said >= EVERY:
                said = time.monotonic()
                voice.message(f"{what}: {done:,} of {total:,}")

        yield tell


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `1 h 40 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
