"""Waiting until a device that got too hot has cooled down."""

from __future__ import annotations

import time
from collections.abc import Callable

from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.measure.sensors import NOW
from edgecnn.measuring.measurement import Protocol
from edgecnn.measuring.monitor import Limits, Watch
from edgecnn.measuring.validity import bit_names, cool

POLL_S = 2.0
"""Between two looks at the sensors."""


def cool_down(
    watch: Watch, limits: Limits, protocol: Protocol, most_s: float, message: Callable[[str], None]
) -> tuple[Readings, float]:
    """Wait until the device is cool, `most_s` at most: the last readings, and the seconds that it took."""
    began = time.monotonic()
    readings = watch.read()
    if cool(readings, limits, protocol):
        return readings, time.monotonic() - began
    message(f"waiting for the device to cool down, up to {most_s:.0f} s: {state(readings)}")
    while not cool(readings, limits, protocol) and (left := most_s - (time.monotonic() - began)) > 0:
        time.sleep(min(POLL_S, left))
        readings = watch.read()
    took = time.monotonic() - began
    done = "has cooled down" if cool(readings, limits, protocol) else "is not as it should be"
    message(f"the device {done} after {took:.0f} s: {state(readings)}")
    return readings, took


def state(readings: Readings) -> str:
    """`82.1 C, 1000 MHz, throttled`, as far as it is known."""
    word = (readings.throttled or 0) & NOW
    parts = [
        None if readings.temperature_c is None else f"{readings.temperature_c:.1f} C",
        None if readings.clock_mhz is None else f"{readings.clock_mhz:.0f} MHz",
        bit_names(word) or None,
    ]
    return ", ".join(part for part in parts if part is not None) or "it says nothing more"
