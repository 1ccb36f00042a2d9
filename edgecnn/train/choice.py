"""Which precision, threads and memory layout train this net fastest here: a few steps of each, then a decision.

It depends on the net and the machine: bfloat16 is twice as fast on a core that multiplies it and slower on one that
doesn't, two threads can be slower than one on a busy machine, our own kernels do only what they know, and what
torch.compile saves has to pay for compiling.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from edgecnn.errors import plural
from edgecnn.train.batches import batch_of, order
from edgecnn.train.compilers import cxx
from edgecnn.train.distill import Teacher
from edgecnn.train.fused.compiled import NotCompiled
from edgecnn.train.loader import Loader, Split
from edgecnn.train.settings import Settings
from edgecnn.train.step import Learner

STEPS, WARMUP, SECONDS = 4, 1, 2.0
"""A trial is so many steps, the first of them not counted; fewer where they take longer than this."""
PIXELS = 2**20
"""A trial's batch is the recipe's, but has no more pixels than this, so that it takes seconds with large pictures."""
COMPILE_PAYS = 1800.0
"""Compiling takes a minute or more: worth a try where training will take this many seconds."""
CHOSEN = ("dtype", "threads", "layout", "fused", "compile")
"""The settings that are chosen here, in the order in which they are tried."""
MARGIN = 1.05
"""A candidate has to be this much faster than the plainer one before it: less is noise."""


@dataclass(frozen=True)
class Open:
    """What a recipe left to us; each field is what may be chosen."""

    dtypes: tuple[str, ...]
    threads: tuple[int, ...]
    layouts: tuple[str, ...]
    fused: tuple[bool, ...]
    compile: tuple[bool, ...]

    @property
    def by_name(self) -> dict[str, tuple[Any, ...]]:
        """What may be chosen for each of the settings, the plainest first."""
        return dict(zip(CHOSEN, (self.dtypes, self.threads, self.layouts, self.fused, self.compile), strict=True))

    @property
    def plainest(self) -> dict[str, Any]:
        """The first of each."""
        return {name: values[0] for name, values in self.by_name.items()}

    @property
    def only_one(self) -> bool:
        """Whether there is nothing to choose."""
        return max(map(len, self.by_name.values())) == 1


@dataclass(frozen=True)
class Trial:
    """One candidate's speed, over the median of its steps."""

    dtype: str
    threads: int
    layout: str
    fused: bool
    compile: bool
    images_per_s: float

    def __str__(self) -> str:
        threads = plural(self.threads, "thread")
        layout = self.layout.replace("_", "-")
        return f"{self.dtype}, {threads}, {layout}{', fused' * self.fused}{', compiled' * self.compile}"

    @property
    def settings(self) -> dict[str, Any]:
        """What was tried, by the names that the settings have."""
        return {name: getattr(self, name) for name in CHOSEN}


def fastest(
    build: Callable[[], nn.Module],
    pictures: Split,
    settings: Settings,
    choices: Open,
    say: Callable[[str], None],
    teacher: Teacher | None = None,
) -> tuple[Settings, list[Trial]]:
    """Time candidates and settle on one; what was timed, in that order, the first being the plainest.

    One thing is changed at a time, and kept where it is faster: precision, threads, layout, our own kernels, the
    precision again where those are taken, compiling. With a `teacher`, its answers are part of each step.
    """
    settings = replace(settings, **choices.plainest)
    if choices.only_one:
        return settings, []
    best = _timed(build, pictures, settings, teacher)
    trials = [best]
    for change in _changes(choices):
        long = len(pictures.train) * settings.epochs / best.images_per_s >= COMPILE_PAYS
        candidate = replace(settings, **change)
        if not _is_worth_it(change, settings, long) or any(_chosen(candidate) == trial.settings for trial in trials):
            continue
        try:
            trial = _timed(build, pictures, candidate, teacher)
        except NotCompiled as error:
            say(f"our own training kernels do not work here ({error.reason}): training without them")
            continue
        except Exception as error:
            if not change.get("compile"):
                raise
            say(f"torch.compile does not work here ({str(error).strip().splitlines()[0]}): training without it")
            continue
        trials.append(trial)
        if trial.images_per_s > MARGIN * best.images_per_s:
            best, settings = trial, candidate
    return settings, trials


def _changes(choices: Open) -> Iterator[dict[str, Any]]:
    for name, values in choices.by_name.items():
        for value in values[1:]:
            yield {"compile": True, "fused": False} if name == "compile" and value else {name: value}
        if name == "fused":
            yield from ({"dtype": value, "fused": True} for value in choices.dtypes)


def _is_worth_it(change: dict[str, Any], settings: Settings, long: bool) -> bool:
    """Whether a change is tried: compiling for a long training, our kernels for channels-last, and with them again."""
    if change.get("compile"):
        return long
    if "dtype" in change and "fused" in change:
        return settings.fused
    return not change.get("fused") or settings.layout == "channels_last"


def _chosen(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in CHOSEN}


def _timed(build: Callable[[], nn.Module], split: Split, settings: Settings, teacher: Teacher | None) -> Trial:
    """The speed of the real step, on real pictures, with a model of its own."""
    pictures, (height, width) = split.train, split.size
    count = min(settings.batch, max(16, PIXELS // (height * width)), len(pictures))
    settings = replace(settings, batch=count)
    learner = Learner(build(), settings)
    if teacher is not None:
        learner.learn_from(teacher)
    learner.train()
    some = pictures.take(order(settings.seed, 0, len(pictures))[: 4 * count])
    loader = Loader(some, len(split.labels), settings.augment, learner.device, split.size)
    places = order(settings.seed, 0, len(some))
    seconds: list[float] = []
    for step in range(WARMUP + STEPS):
        if len(seconds) > WARMUP and sum(seconds) > SECONDS:
            break
        started = time.perf_counter()
        images, targets = loader.load(batch_of(places, count, settings.seed, 0, step % (len(some) // count)))
        float(learner.step(images, targets, 0.0)[0])  # reading the loss waits for a GPU
        seconds.append(time.perf_counter() - started)
    speed = count / statistics.median(seconds[WARMUP:])
    return Trial(**_chosen(settings), images_per_s=speed)


def can_compile() -> bool:
    """Whether torch.compile could work here: for a CPU it wants a C++ compiler."""
    return torch.cuda.is_available() or cxx() is not None
