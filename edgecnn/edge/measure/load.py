"""How busy the machine was while something was measured, and with whose work."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_IDLE = (3, 4)  # idle and iowait, of the columns of /proc/stat (proc_stat(5))
_STEAL = 7
_COUNTED = 8  # guest time, the columns after steal, is in user time already


@dataclass(frozen=True)
class Counters:
    """Seconds since some time in the past; what the system does not say is None."""

    wall_s: float
    own_s: float
    """Processor time of this process, all its threads."""
    busy_s: float | None
    """Processor time of everybody on all processors, stolen time apart."""
    stolen_s: float | None
    """What a hypervisor gave to others while this machine wanted it."""
    waited_s: float | None
    """How long this process's main thread could have run and was not let."""
    switches: int | None
    """How often a thread of this process was put off its processor (involuntary context switches)."""


def read_counters(proc: Path = PROC) -> Counters:
    """The counters now."""
    busy, stolen = _stat(proc / "stat")
    return Counters(time.perf_counter(), time.process_time(), busy, stolen, _waited(proc), _switches())


def _stat(path: Path) -> tuple[float | None, float | None]:
    try:
        first = path.read_text(encoding="ascii").split("\n", 1)[0].split()
        ticks = [int(value) for value in first[1 : 1 + _COUNTED]]
        second = os.sysconf("SC_CLK_TCK")
        busy = sum(value for place, value in enumerate(ticks) if place not in (*_IDLE, _STEAL))
        return busy / second, ticks[_STEAL] / second
    except (OSError, ValueError, IndexError):
        return None, None


def _waited(proc: Path) -> float | None:
    try:
        return int((proc / "self" / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _switches() -> int | None:
    try:
        import resource
    except ImportError:  # no part of Python on every system
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@dataclass(frozen=True)
class Load:
    """What happened between two readings. Sums over windows of a row are again a Load."""

    wall_s: float
    own_s: float
    others_s: float | None
    """Processor time of other processes; a little below 0 is possible, the system counts in hundredths of a second."""
    stolen_s: float | None
    waited_s: float | None
    switches: int | None


def between(first: Counters, last: Counters) -> Load:
    """The load from one reading to a later one."""
    own = last.own_s - first.own_s
    busy = _less(last.busy_s, first.busy_s)
    return Load(
        last.wall_s - first.wall_s,
        own,
        None if busy is None else busy - own,
        _less(last.stolen_s, first.stolen_s),
        _less(last.waited_s, first.waited_s),
        None if last.switches is None or first.switches is None else last.switches - first.switches,
    )


def _less(last: float | None, first: float | None) -> float | None:
    return None if last is None or first is None else last - first
