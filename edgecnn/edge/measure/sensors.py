"""How hot the machine is, and whether it slows itself down; what it does not say is None, never 0."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

THERMAL = Path("/sys/class/thermal")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
"""Of a Raspberry Pi's firmware: hexadecimal, and without a process to be started."""
NOW = 0xF
"""Bits 0-3: undervoltage, frequency capped, throttled, soft temperature limit, all at present; 16-19 since it started.

Source: Raspberry Pi documentation, vcgencmd, get_throttled.
"""
APART_S = 1.0
"""Readings are at least this far apart; in between, the last one is given again."""
PATIENCE_S = 0.2
_PROCESSOR = re.compile(r"cpu|soc|x86_pkg_temp|k10temp|coretemp|^tj", re.IGNORECASE)
_PLAUSIBLE_C = (-40.0, 150.0)


class Sensors:
    """This machine's sensors. No reading takes over 0.2 s; one whose command hangs is absent as long as that does."""

    def __init__(
        self,
        thermal: Path = THERMAL,
        throttled: Path = THROTTLED,
        vcgencmd: str = "vcgencmd",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._thermal, self._throttled, self._clock = thermal, throttled, clock
        self._vcgencmd = shutil.which(vcgencmd)
        self._hanging: subprocess.Popen[bytes] | None = None
        self._temperature_c: float | None = None
        self._is_throttled: bool | None = None
        self._read_at: float | None = None

    def temperature_c(self) -> float | None:
        """The hottest of the processor's thermal zones, in degrees Celsius."""
        self._refresh()
        return self._temperature_c

    def throttled(self) -> bool | None:
        """Whether a Raspberry Pi slows itself down now, for heat or a weak supply; None on other machines."""
        self._refresh()
        return self._is_throttled

    def _refresh(self) -> None:
        now = self._clock()
        if self._read_at is None or now - self._read_at >= APART_S:
            self._read_at = now
            self._temperature_c = hottest_c(self._thermal)
            bits = self._bits()
            self._is_throttled = None if bits is None else bool(bits & NOW)

    def _bits(self) -> int | None:
        with suppress(OSError, ValueError):
            return int(self._throttled.read_text(encoding="ascii"), 16)
        said = self._ask() if self._vcgencmd is not None else b""
        found = re.fullmatch(rb"throttled=(0x[0-9a-fA-F]+)\s*", said)
        return int(found[1], 16) if found else None

    def _ask(self) -> bytes:
        """What `vcgencmd get_throttled` says; nothing where it fails, or does not end in time."""
        if self._hanging is not None and self._hanging.poll() is None:
            return b""
        self._hanging = None
        assert self._vcgencmd is not None
        try:
            process = subprocess.Popen(
                [self._vcgencmd, "get_throttled"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return b""
        assert process.stdout is not None
        try:
            return process.communicate(timeout=PATIENCE_S)[0]
        except subprocess.TimeoutExpired:
            process.kill()  # and not waited for: one that hangs in the kernel does not end
            process.stdout.close()
            self._hanging = process
            return b""


def hottest_c(thermal: Path = THERMAL) -> float | None:
    """The highest plausible temperature of the zones whose type sounds like a processor, now."""
    found = [reading for zone in thermal.glob("thermal_zone*") if (reading := _zone_c(zone)) is not None]
    return max(found, default=None)


def _zone_c(zone: Path) -> float | None:
    """One zone; None for a battery's, a modem's, and one that is switched off, which can't be read."""
    with suppress(OSError, ValueError):
        if _PROCESSOR.search((zone / "type").read_text(encoding="ascii")):
            celsius = int((zone / "temp").read_text(encoding="ascii")) / 1000
            return celsius if _PLAUSIBLE_C[0] < celsius < _PLAUSIBLE_C[1] else None
    return None
