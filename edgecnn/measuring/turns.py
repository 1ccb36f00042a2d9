"""Measuring processes take turns: round by round, a window each, in alternating order, until all are steady.

So whatever else the machine does, it does to all of them. Before and after each window the device says how it is; a
window that its state or other work has spoilt is kept apart, and taken again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from edgecnn.edge.measure.load import Load
from edgecnn.edge.measure.process import Engine, Open, Opened
from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.measure.timing import MOST
from edgecnn.edge.runtimes import Runtime
from edgecnn.errors import DeviceError, LinkLost, MissingExtra, UnusableFile
from edgecnn.measuring.cooling import cool_down
from edgecnn.measuring.measurement import Protocol, Window, row_name
from edgecnn.measuring.monitor import Limits, Site, Watch
from edgecnn.measuring.place import Place
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.validity import SLOW, Verdict, busy_window, cool, spoilt, swapped
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

    @property
    def name(self) -> str:
        """What its row is called."""
        subject = self.subject
        return row_name(subject.name, subject.target, subject.precision, self.runtime.name, self.threads)


@dataclass(frozen=True)
class Spoilt:
    """A window that does not count."""

    window: Window
    samples: Array
    load: Load
    after: Readings
    verdict: Verdict


@dataclass
class Measured:
    """An entry and what was found so far; `failed` once it can't go on, `gave_up` once the device won't let it."""

    entry: Entry
    engine: Engine | None = None
    opened: Opened | None = None
    windows: list[Window] = field(default_factory=list)
    samples: list[Array] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    peak_rss_mib: float | None = None
    spent_s: float = 0.0
    failed: DeviceError | MissingExtra | UnusableFile | None = None
    readings: list[Readings] = field(default_factory=list)
    """After each window that counts."""
    before: Readings | None = None
    after: Readings | None = None
    spoilt: list[Spoilt] = field(default_factory=list)
    in_a_row: int = 0
    """Windows that the device's state has spoilt since the last one that counts."""
    cooled_s: float = 0.0
    gave_up: bool = False

    def enough(self, protocol: Protocol) -> bool:
        """Whether so many windows count that the row does."""
        return len(self.windows) >= protocol.windows_least

    def steady(self, protocol: Protocol) -> bool:
        """Whether the last windows' percentiles lie close together, and there are enough windows."""
        last = self.windows[-protocol.steady_windows :]
        return self.enough(protocol) and all(
            max(values) <= (1 + most) * min(values)
            for values, most in (
                ([window.p50_us for window in last], protocol.steady_p50),
                ([window.p90_us for window in last], protocol.steady_p90),
            )
        )

    def over(self, protocol: Protocol) -> bool:
        """Whether its time is used up, or it has given up."""
        tried = len(self.windows) + len(self.spoilt) >= protocol.windows_tried
        return self.gave_up or ((self.enough(protocol) or tried) and self.spent_s >= protocol.seconds)

    def turn(self, worker: Worker, protocol: Protocol, device: Device) -> None:
        """Take a window; put it where it belongs."""
        assert self.engine is not None, "it was opened before the first round"
        before = device.last
        window, samples, load = self._take(worker, protocol)
        after = device.read()
        verdict = Verdict(
            tuple(spoilt(before, after, device.limits, protocol, device.highest_mhz)),
            tuple(swapped(before, after) + busy_window(load, self.engine.machine.cores, protocol)),
        )
        self.before, self.after = self.before or before, after
        if verdict.reasons:
            self.spoilt.append(Spoilt(window, samples, load, after, verdict))
        else:
            self.windows.append(window)
            self.samples.append(samples)
            self.loads.append(load)
            self.readings.append(after)
        self.in_a_row = self.in_a_row + 1 if verdict.device else 0
        self.gave_up = self.in_a_row >= protocol.spoilt_in_a_row

    def _take(self, worker: Worker, protocol: Protocol) -> tuple[Window, Array, Load]:
        assert self.opened is not None, "it was opened before the first round"
        each_s = self.opened.fastest_us / 1e6
        count = min(MOST, max(protocol.window_least, round(protocol.window_s / max(each_s, 1e-9))))
        began = time.monotonic()
        turn, samples = worker.window(count, patience_s(self.entry, protocol) + 20 * count * each_s)
        self.spent_s += time.monotonic() - began
        self.peak_rss_mib = turn.peak_rss_mib
        p50_us, p90_us = (float(value) / 1e3 for value in np.percentile(samples, [50, 90]))
        return Window(count, p50_us, p90_us), samples, turn.load

    def cool(self, device: Device, protocol: Protocol, message: Callable[[str], None]) -> None:
        """After a window that the device's state has spoilt: wait until it can be taken again."""
        if self.in_a_row and not self.gave_up:
            self.cooled_s += device.cool_down(protocol, protocol.cooling_s - self.cooled_s, message)


@dataclass
class Device:
    """How the device is: its last readings, and what it must keep to."""

    watch: Watch
    limits: Limits
    last: Readings
    highest_mhz: float | None = None
    too_hot: bool = False
    """It did not cool down in time: nobody waits for it again until it has."""

    def read(self) -> Readings:
        """Its readings now."""
        self.last = self.watch.read()
        known = [clock for clock in (self.highest_mhz, self.last.clock_mhz) if clock is not None]
        self.highest_mhz = max(known, default=None)
        return self.last

    def cool_down(self, protocol: Protocol, most_s: float, message: Callable[[str], None]) -> float:
        """Wait for it to cool down, `most_s` at most; the seconds that it took."""
        if self.last.governor == SLOW or most_s <= 0:
            return 0.0
        if self.too_hot and not cool(self.read(), self.limits, protocol):
            return 0.0
        self.last, took_s = cool_down(self.watch, self.limits, protocol, most_s, message)
        self.too_hot = not cool(self.last, self.limits, protocol)
        return took_s


def patience_s(entry: Entry, protocol: Protocol) -> float:
    """How long opening and first running a file may take: 4 s, a second more for each MiB, or all the row's time."""
    return max(4.0 + entry.subject.bytes / 2**20, protocol.seconds)


def measure(
    entries: Sequence[Entry],
    protocol: Protocol,
    size: tuple[int, int] | None,
    site: Site,
    message: Callable[[str], None],
) -> list[Measured]:
    """Measure all entries at a site, at most `protocol.together` at a time; what fails carries its reason.

    A row takes `protocol.seconds`, and where the device has to cool down `protocol.cooling_s` besides. Raises
    DeviceError where its watch says nothing any more, LinkLost where its place can't be reached.
    """
    found: list[Measured] = []
    device = Device(site.watch, site.limits, site.watch.read())
    for first in range(0, len(entries), protocol.together):
        group = [Measured(entry) for entry in entries[first : first + protocol.together]]
        with ExitStack() as stack:
            workers = []
            for measured in group:  # one after the other: starting one would disturb what another reads at opening
                workers.append(stack.enter_context(Worker(measured.entry.subject.path, site.place)))
                _open(measured, workers[-1], protocol, size, site.place)
            _rounds(list(zip(group, workers, strict=True)), protocol, device, message)
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


def _rounds(
    pairs: Sequence[tuple[Measured, Worker]], protocol: Protocol, device: Device, message: Callable[[str], None]
) -> None:
    device.read()
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
                measured.turn(worker, protocol, device)
                measured.cool(device, protocol, message)
            except UnusableFile as error:
                measured.failed = error
        backwards = not backwards
        if time.monotonic() - said >= EVERY_S:
            said = time.monotonic()
            steady = sum(measured.steady(protocol) for measured, _ in ready)
            message(f"{said - began:.0f} s: {steady} of {len(ready)} steady")
