"""Whether a window may be believed: from what the device said before and after it, and from what else it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecnn.edge.machine import PERFORMANCE
from edgecnn.edge.measure.load import Load
from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.measure.sensors import NOW
from edgecnn.measuring.measurement import Busy, Protocol, too_busy
from edgecnn.measuring.monitor import Limits

BITS = {0: "undervoltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
"""Of a Raspberry Pi's throttled word; the same 16 bits higher: it has happened since it started.

Source: Raspberry Pi documentation, vcgencmd, get_throttled.
"""
SINCE = NOW << 16
TICK_S = 0.01
"""The system counts busy and stolen time in such steps, and a single one says nothing of a window."""
TELLING_S = 0.1
"""A window that is shorter has too few ticks: the row as a whole is judged alone."""
SLOW = "powersave"


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a window. `device`: with the state of the device, which cooling may mend; `busy`: with what
    else it did meanwhile, which has no need to last.
    """

    device: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """All of it; empty for a window that counts."""
        return self.device + self.busy


def spoilt(
    before: Readings, after: Readings, limits: Limits, protocol: Protocol, highest_mhz: float | None = None
) -> list[str]:
    """What the device's state did to a window between two readings; empty where it says nothing against it.

    highest_mhz: the highest clock of the measurement so far, for devices whose nominal one is unknown. A figure that
    is absent is not held against the window. Of the clock only the reading after counts: before, the governor may
    have let it rest.
    """
    return [
        *_throttling(before, after),
        *_heat(before, after, limits),
        *_clock(after, limits.clock_mhz or highest_mhz, protocol),
        *([powersave_note()] if SLOW in (before.governor, after.governor) else []),
    ]


def swapped(before: Readings, after: Readings) -> list[str]:
    """Whether memory was short between two readings."""
    if before.swapped_pages is None or after.swapped_pages is None or after.swapped_pages <= before.swapped_pages:
        return []
    return [f"{after.swapped_pages - before.swapped_pages:,} pages were swapped meanwhile; memory is short"]


def busy_window(load: Load, cores: int, protocol: Protocol) -> list[str]:
    """Whether the machine did too much else during one window, a tick forgiven; short ones are not judged."""
    if load.wall_s < TELLING_S:
        return []
    forgiven = Load(
        load.wall_s,
        load.own_s,
        _less(load.others_s, TICK_S),
        _less(load.stolen_s, TICK_S),
        _less(load.waited_s, TICK_S),
        load.switches,
    )
    return too_busy(busy_of([forgiven], cores), protocol)


def busy_of(loads: Sequence[Load], cores: int) -> Busy:
    """Whose the machine was during some windows."""
    wall_s = sum(load.wall_s for load in loads)
    return Busy(
        _share([load.others_s for load in loads], wall_s * cores),
        _share([load.stolen_s for load in loads], wall_s * cores),
        _share([load.waited_s for load in loads], wall_s),
        _share([load.switches for load in loads], wall_s),
    )


def cool(readings: Readings, limits: Limits, protocol: Protocol) -> bool:
    """Whether the device has cooled down: well below its limit, and nothing holds it back any more."""
    if (readings.throttled or 0) & NOW:
        return False
    if readings.temperature_c is None or limits.throttles_at_c is None:
        return True
    return readings.temperature_c <= limits.throttles_at_c - protocol.cooling_margin_c


def powersave_note() -> str:
    """What is said of a governor that keeps the clock low."""
    return f"the governor is '{SLOW}', which keeps the clock low; `{PERFORMANCE}` changes it"


def worst(readings: Sequence[Readings]) -> Readings | None:
    """The worst of each figure: the hottest, the slowest clock, every bit that was set; None of none."""
    if not readings:
        return None
    temperatures = [reading.temperature_c for reading in readings if reading.temperature_c is not None]
    clocks = [reading.clock_mhz for reading in readings if reading.clock_mhz is not None]
    words = [reading.throttled for reading in readings if reading.throttled is not None]
    powers = [reading.power_w for reading in readings if reading.power_w is not None]
    pages = [reading.swapped_pages for reading in readings if reading.swapped_pages is not None]
    governors = [reading.governor for reading in readings if reading.governor is not None]
    throttled = 0
    for word in words:
        throttled |= word
    found = {
        "temperature_c": max(temperatures, default=None),
        "clock_mhz": min(clocks, default=None),
        "throttled": throttled if words else None,
        "power_w": max(powers, default=None),
        "governor": SLOW if SLOW in governors else governors[-1] if governors else None,
        "swapped_pages": max(pages, default=None),
    }
    missing = {name: reason for reading in readings for name, reason in reading.missing.items() if found[name] is None}
    return Readings(**found, missing=missing)  # type: ignore[arg-type]  # by name, each of its type


def bit_names(word: int) -> str:
    """The names of the bits 0-3 of a word: `undervoltage and throttled`."""
    return " and ".join(name for bit, name in BITS.items() if word >> bit & 1)


def _throttling(before: Readings, after: Readings) -> list[str]:
    first, last = before.throttled or 0, after.throttled or 0
    now = (first | last) & NOW
    if now:
        return [f"the device held itself back: {bit_names(now)}"]
    new = last & ~first & SINCE if before.throttled is not None else 0
    return [f"the device held itself back for a moment: {bit_names(new >> 16)}"] if new else []


def _heat(before: Readings, after: Readings, limits: Limits) -> list[str]:
    known = [reading.temperature_c for reading in (before, after) if reading.temperature_c is not None]
    if limits.throttles_at_c is None or not known or max(known) < limits.throttles_at_c:
        return []
    return [f"it was {max(known):.1f} C hot, and throttles from {limits.throttles_at_c:g} C on"]


def _clock(after: Readings, wanted_mhz: float | None, protocol: Protocol) -> list[str]:
    if after.clock_mhz is None or wanted_mhz is None or after.clock_mhz >= (1 - protocol.clock_share) * wanted_mhz:
        return []
    return [f"the clock was {after.clock_mhz:.0f} MHz instead of {wanted_mhz:.0f}"]


def _share(parts: Sequence[float | None], whole: float) -> float | None:
    known = [part for part in parts if part is not None]
    return max(0.0, sum(known) / whole) if len(known) == len(parts) else None


def _less(value: float | None, by: float) -> float | None:
    return None if value is None else value - by
