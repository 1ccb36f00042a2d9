"""What a device says about itself while something is measured: temperature, real clock, throttling, power, governor.

How a device says it is its profile's matter: a command for each figure, and where the figure stands in what it prints.
Without one, what Linux has in /sys. A figure that could not be had is None, with its reason, never 0.
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgecnn.edge import machine
from edgecnn.edge.measure.sensors import THERMAL, THROTTLED, hottest_c

PATIENCE_S = 2.0
"""What a reading's commands may take, all together; what has not ended then is killed."""
LEAST_S = 0.1
"""To take what a command has printed, also where another one before it has used the time up."""
HANGS_MOST = 3
"""A command that had to be killed so often is not started again."""
CPU = Path("/sys/devices/system/cpu/cpu0")
VMSTAT = Path("/proc/vmstat")
OWN_MEANING = ("intel_pstate", "amd-pstate-epp")
"""Drivers whose `powersave` raises the clock with the work, as elsewhere `schedutil` does.

Source: Linux, admin-guide/pm/intel_pstate.rst, active mode; admin-guide/pm/amd-pstate.rst.
"""


@dataclass(frozen=True)
class Sensor:
    """A command that prints a figure. `pattern`: a regular expression, its first group is the figure, decimal or 0x
    hexadecimal; `scale` multiplies it.
    """

    command: tuple[str, ...]
    pattern: str
    scale: float = 1.0


@dataclass(frozen=True)
class Readings:
    """A device at one moment; a figure that is None has its reason in `missing`.

    clock_mhz: the real clock, not the requested one. throttled: the word of a Raspberry Pi's `vcgencmd get_throttled`,
    bits 0-3 at present, 16-19 since it started. swapped_pages: read and written since it started.
    """

    temperature_c: float | None
    clock_mhz: float | None
    throttled: int | None
    power_w: float | None
    governor: str | None
    swapped_pages: int | None
    missing: Mapping[str, str]


NAMES = ("temperature_c", "clock_mhz", "throttled", "power_w", "governor")
"""What a profile may have a command for."""


@dataclass(frozen=True)
class Places:
    """Where Linux says what it says."""

    thermal: Path = THERMAL
    throttled: Path = THROTTLED
    cpu: Path = CPU
    vmstat: Path = VMSTAT


@dataclass
class Gauges:
    """A device's sensors, by the names of `Readings`."""

    sensors: Mapping[str, Sensor] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    _hangs: dict[str, int] = field(default_factory=dict)

    def read(self) -> Readings:
        """All figures now, in 2 s at most: the commands run beside each other."""
        missing: dict[str, str] = {}
        found: dict[str, str | float] = {}
        for name, said in self._ask_all().items():
            try:
                found[name] = _figure(name, said, self.sensors[name])
            except ValueError as error:
                missing[name] = str(error)
        temperature_c = self._temperature_c(found, missing)
        throttled = self._throttled(found, missing)
        clock_mhz, power_w = found.get("clock_mhz"), found.get("power_w")
        if "clock_mhz" not in self.sensors:
            missing["clock_mhz"] = _no_real_clock(self.places.cpu)
        if "power_w" not in self.sensors:
            missing["power_w"] = "no command of the device's profile reads it"
        return Readings(
            temperature_c,
            None if clock_mhz is None else float(clock_mhz),
            throttled,
            None if power_w is None else float(power_w),
            self._governor(found, missing),
            _swapped_pages(self.places.vmstat, missing),
            missing,
        )

    def _temperature_c(self, found: Mapping[str, str | float], missing: dict[str, str]) -> float | None:
        if "temperature_c" in self.sensors:
            return float(found["temperature_c"]) if "temperature_c" in found else None
        hottest = hottest_c(self.places.thermal)
        if hottest is None:
            missing["temperature_c"] = f"no zone in {self.places.thermal} is a processor's"
        return hottest

    def _throttled(self, found: Mapping[str, str | float], missing: dict[str, str]) -> int | None:
        if "throttled" in self.sensors:
            return int(found["throttled"]) if "throttled" in found else None
        with suppress(OSError, ValueError):
            return int(self.places.throttled.read_text(encoding="ascii"), 16)
        missing["throttled"] = "no firmware says so here, as a Raspberry Pi's does"
        return None

    def _governor(self, found: Mapping[str, str | float], missing: dict[str, str]) -> str | None:
        if "governor" in self.sensors:
            return str(found["governor"]) if "governor" in found else None
        governor = machine.governor(self.places.cpu)
        if governor is None:
            missing["governor"] = f"there is none in {self.places.cpu} (virtual machines have none)"
            return None
        with suppress(OSError):
            driver = (self.places.cpu / "cpufreq" / "scaling_driver").read_text(encoding="ascii").strip()
            return f"{governor} of {driver}" if driver in OWN_MEANING else governor
        return governor

    # --- commands ----------------------------------------------------------------------------------------------------

    def _ask_all(self) -> dict[str, str | ValueError]:
        """What each command printed, or why it printed nothing."""
        deadline = time.monotonic() + PATIENCE_S
        started = {name: self._start(name, sensor) for name, sensor in self.sensors.items() if name in NAMES}
        return {
            name: process if isinstance(process, ValueError) else self._said(name, process, deadline)
            for name, process in started.items()
        }

    def _start(self, name: str, sensor: Sensor) -> subprocess.Popen[bytes] | ValueError:
        if self._hangs.get(name, 0) >= HANGS_MOST:
            return ValueError(f"{_words(sensor)} was killed {HANGS_MOST} times, each time after {PATIENCE_S:g} s")
        try:
            return subprocess.Popen(
                sensor.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what it starts can be killed with it
            )
        except OSError as error:
            return ValueError(f"{_words(sensor)} can't be started ({error.strerror})")

    def _said(self, name: str, process: subprocess.Popen[bytes], deadline: float) -> str | ValueError:
        words = _words(self.sensors[name])
        assert process.stdout is not None, "it was made with a pipe"
        try:
            said = process.communicate(timeout=max(LEAST_S, deadline - time.monotonic()))[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.stdout.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)  # one that hangs in the kernel does not end
            self._hangs[name] = self._hangs.get(name, 0) + 1
            return ValueError(f"{words} did not end within {PATIENCE_S:g} s and was killed")
        if process.returncode != 0:
            return ValueError(f"{words} failed with exit code {process.returncode}{_quoted(said)}")
        return said


def _figure(name: str, said: str | ValueError, sensor: Sensor) -> str | float:
    """The figure in what a command printed; ValueError with the reason where there is none."""
    if isinstance(said, ValueError):
        raise said
    found = re.search(sensor.pattern, said)
    if found is None:
        raise ValueError(f"{_words(sensor)} printed nothing like {sensor.pattern}{_quoted(said)}")
    if name == "governor":
        return found[1]
    try:
        value = float(int(found[1], 16)) if found[1].lower().startswith("0x") else float(found[1])
    except ValueError as error:
        raise ValueError(f"{_words(sensor)} printed '{found[1]}', which is no number") from error
    if not math.isfinite(value):
        raise ValueError(f"{_words(sensor)} printed {found[1]}")
    return value * sensor.scale


def _words(sensor: Sensor) -> str:
    return f"`{' '.join(sensor.command)}`"


def _quoted(said: str) -> str:
    lines = said.strip().splitlines()
    return f": '{lines[0][:200]}'" if lines else ""


# --- what Linux has --------------------------------------------------------------------------------------------------


def _no_real_clock(cpu: Path) -> str:
    """Why there is no clock without a command: Linux tells the one that the governor asks for, not the one there is.

    Source: Linux, admin-guide/pm/cpufreq.rst, scaling_cur_freq. A Raspberry Pi's firmware lowers the real one unasked.
    """
    with suppress(OSError, ValueError):
        khz = int((cpu / "cpufreq" / "scaling_cur_freq").read_text(encoding="ascii"))
        return f"{khz / 1000:.0f} MHz were requested (scaling_cur_freq); no command of a profile reads the real clock"
    return "no command of the device's profile reads the real clock"


def _swapped_pages(vmstat: Path, missing: dict[str, str]) -> int | None:
    try:
        lines = dict(line.split(maxsplit=1) for line in vmstat.read_text(encoding="ascii").splitlines())
        return int(lines["pswpin"]) + int(lines["pswpout"])
    except (OSError, ValueError, KeyError):
        missing["swapped_pages"] = f"{vmstat} does not say"
        return None
