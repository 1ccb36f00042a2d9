"""What models cost on an emulated device: instructions of one inference, a figure that repeats; there is no time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgecnn.edge.measure.instructions import Instructions
from edgecnn.edge.measure.process import Engine, Machine, Open, Opened
from edgecnn.errors import DeviceError, LinkLost, MissingExtra, UnusableFile
from edgecnn.measuring.measurement import Unmeasured
from edgecnn.measuring.turns import Entry
from edgecnn.measuring.worker import Worker
from edgecnn.remote.device import Device

OPENING_S, EACH_S = 120.0, 60.0
"""How long opening a file, and one inference, may take under emulation."""


@dataclass(frozen=True)
class CountProtocol:
    """How it was counted. Records with different protocols are not compared."""

    n: int = 5
    """Inferences, one by one, in one fresh process."""
    warmup: int = 3
    statistic: str = "median; guest instructions of the whole process between two inferences' ends, no kernel"
    schema: str = "edgecnn.count-protocol/1"


@dataclass(frozen=True)
class CountedRow:
    """One model in one engine: guest instructions of one inference, the median of `n`; `least` and `most` of them.

    counter_instructions: what a reading of the counter adds, which is in the others too.
    """

    model: str
    target: str
    runtime: str
    precision: str | None
    threads: int
    n: int
    instructions: int
    least: int
    most: int
    counter_instructions: int
    model_bytes: int
    arena_bytes: int | None
    valid: bool
    notes: tuple[str, ...]
    top1: float | None
    path: str
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class CountRecord:
    """bench/<device>-<time>.json of an emulated device."""

    device: str
    rows: tuple[CountedRow, ...]
    unmeasured: tuple[Unmeasured, ...]
    protocol: CountProtocol
    machine: Machine
    versions: Mapping[str, str]
    created: str
    emulated: bool = True
    schema: str = "edgecnn.bench/1"


@dataclass(frozen=True)
class Counted:
    """An entry, and what was found or why it could not be counted."""

    entry: Entry
    engine: Engine | None
    opened: Opened | None
    found: Instructions | None
    failed: DeviceError | MissingExtra | UnusableFile | None


class CountedPlace:
    """A device whose processes are started with what counts their instructions."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.path_there, self.check, self.lacks = device.path_there, device.check, device.lacks

    def together(self) -> int:
        """One after the other: there is nothing to take turns for."""
        return 1

    def start(self, words: Sequence[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the application, counted."""
        return self._device.start(words, complaints, self._device.profile.counter)


def count(
    entries: Sequence[Entry],
    protocol: CountProtocol,
    size: tuple[int, int] | None,
    message: Callable[[str], None],
    device: Device,
) -> list[Counted]:
    """Count all entries, one process after the other; what fails carries its reason. Raises LinkLost."""
    found = []
    for entry in entries:
        message(f"counting {entry.subject.path.parent.name} in {entry.runtime.name}")
        found.append(_count(entry, protocol, size, device))
    return found


def _count(entry: Entry, protocol: CountProtocol, size: tuple[int, int] | None, device: Device) -> Counted:
    place = CountedPlace(device)
    if entry.threads != 1:
        reason = f"instructions are counted on one thread, not on {entry.threads}: how long threads wait is chance"
        return Counted(entry, None, None, None, DeviceError(reason))
    with Worker(entry.subject.path, place) as worker:
        engine = opened = None
        try:
            engine = worker.load_engine(entry.runtime.name)
            opened = worker.open(Open(place.path_there(Path(entry.subject.path)), 1, size, 0.0, 1), OPENING_S)
            found = worker.count(protocol.n, protocol.warmup, EACH_S * (protocol.n + protocol.warmup))
        except LinkLost:
            raise
        except (DeviceError, MissingExtra, UnusableFile) as error:
            return Counted(entry, engine, opened, None, error)
    return Counted(entry, engine, opened, found, None)
