"""Measuring processes take turns: round by round, a window each, in alternating order, until all are steady.

So whatever else the machine does, it does to all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from edgecnn.edge.measure.load import Load
from edgecnn.edge.measure.process import Engine, Open, Opened
from edgecnn.edge.measure.timing import MOST
from edgecnn.edge.runtimes import Runtime
from edgecnn.errors import DeviceError, LinkLost, MissingExtra, UnusableFile
from edgecnn.measuring.measurement import Protocol, Window
from edgecnn.measuring.place import HERE, Place
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.worker import Worker
from edgecnn.metrics import Array

EVERY_S = 10.0
"""Between two lines about progress."""


@dataclass(frozen=True)
class Entry:
    """What becomes a row."""

    subject: Subject
    runtime: Runtime
    threads: int


@dataclass
class Measured:
    """An entry and what was found so far; `failed` once it can't go on."""

    entry: Entry
    engine: Engine | None = None
    opened: Opened | None = None
    windows: list[Window] = field(default_factory=list)
    samples: list[Array] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    peak_rss_mib: float | None = None
    spent_s: float = 0.0
    failed: DeviceError | MissingExtra | UnusableFile | None = None

    def steady(self, protocol: Protocol) -> bool:
        """Whether the last windows' percentiles lie close together, and there are enough windows."""
        last = self.windows[-protocol.steady_windows :]
        return len(self.windows) >= protocol.windows_least and all(
            max(values) <= (1 + most) * min(values)
            for values, most in (
                ([window.p50_us for window in last], protocol.steady_p50),
                ([window.p90_us for window in last], protocol.steady_p90),
            )
        )

    def over(self, protocol: Protocol) -> bool:
        """Whether its time is used up."""
        return len(self.windows) >= protocol.windows_least and self.spent_s >= protocol.seconds

    def turn(self, worker: Worker, protocol: Protocol) -> None:
        """Take a window."""
        assert self.opened is not None, "it was opened before the first round"
        each_s = self.opened.fastest_us / 1e6
        count = min(MOST, max(protocol.window_least, round(protocol.window_s / max(each_s, 1e-9))))
        began = time.monotonic()
        turn, samples = worker.window(count, patience_s(self.entry, protocol) + 20 * count * each_s)
        self.spent_s += time.monotonic() - began
        p50_us, p90_us = (float(value) / 1e3 for value in np.percentile(samples, [50, 90]))
        self.windows.append(Window(count, p50_us, p90_us))
        self.samples.append(samples)
        self.loads.append(turn.load)
        self.peak_rss_mib = turn.peak_rss_mib


def patience_s(entry: Entry, protocol: Protocol) -> float:
    """How long opening and first running a file may take: 4 s, a second more for each MiB, or all the row's time."""
    return max(4.0 + entry.subject.bytes / 2**20, protocol.seconds)


def measure(
    entries: Sequence[Entry],
    protocol: Protocol,
    size: tuple[int, int] | None,
    message: Callable[[str], None],
    place: Place = HERE,
) -> list[Measured]:
    """Measure all entries at a place, at most `protocol.together` at a time; what fails carries its reason.

    Raises DeviceError where the place can't be reached any more.
    """
    found: list[Measured] = []
    for first in range(0, len(entries), protocol.together):
        group = [Measured(entry) for entry in entries[first : first + protocol.together]]
        with ExitStack() as stack:
            workers = []
            for measured in group:  # one after the other: starting one would disturb what another reads at opening
                workers.append(stack.enter_context(Worker(measured.entry.subject.path, place)))
                _open(measured, workers[-1], protocol, size, place)
            _rounds(list(zip(group, workers, strict=True)), protocol, message)
        found += group
    return found


def _open(measured: Measured, worker: Worker, protocol: Protocol, size: tuple[int, int] | None, place: Place) -> None:
    entry = measured.entry
    wanted = Open(place.path_there(entry.subject.path), entry.threads, size, protocol.warmup_s, protocol.warmup_least)
    try:
        measured.engine = worker.load_engine(entry.runtime.name)
        measured.opened = worker.open(wanted, patience_s(entry, protocol))
    except LinkLost:
        raise
    except (DeviceError, MissingExtra, UnusableFile) as error:
        measured.failed = error
        worker.close()


def _rounds(pairs: Sequence[tuple[Measured, Worker]], protocol: Protocol, message: Callable[[str], None]) -> None:
    began = said = time.monotonic()
    backwards = False
    while True:
        ready = [pair for pair in pairs if pair[0].failed is None]
        if all(measured.steady(protocol) or measured.over(protocol) for measured, _ in ready):
            return
        for measured, worker in reversed(ready) if backwards else ready:
            if measured.over(protocol):
                continue
            try:
                measured.turn(worker, protocol)
            except UnusableFile as error:
                measured.failed = error
        backwards = not backwards
        if time.monotonic() - said >= EVERY_S:
            said = time.monotonic()
            steady = sum(measured.steady(protocol) for measured, _ in ready)
            message(f"{said - began:.0f} s: {steady} of {len(ready)} steady")
