"""What spoils a window, and what does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edgecnn.edge.measure.load import Load
from edgecnn.edge.measure.readings import Readings
from edgecnn.measuring.measurement import Protocol
from edgecnn.measuring.monitor import Limits
from edgecnn.measuring.validity import busy_window, cool, spoilt, swapped, worst

PROTOCOL = Protocol(5.0)
LIMITS = Limits(throttles_at_c=80.0, clock_mhz=1500.0)
WELL = Readings(50.0, 1500.0, 0, 4.0, "performance", 7, {})
UNKNOWN = Readings(None, None, None, None, None, None, {"temperature_c": "not asked", "clock_mhz": "not asked"})


def but(**changed: Any) -> Readings:
    return dataclasses.replace(WELL, **changed)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (WELL, WELL, None),
        (UNKNOWN, UNKNOWN, None),  # what nobody knows is not held against it
        (WELL, but(throttled=0x4), "held itself back: throttled"),
        (but(throttled=0x1), WELL, "held itself back: undervoltage"),
        (WELL, but(throttled=0x5000A), "held itself back: clock capped and soft temperature limit"),
        (WELL, but(throttled=0x20000), "for a moment: clock capped"),
        (but(throttled=0xF0000), but(throttled=0xF0000), None),  # long ago
        (but(throttled=None), but(throttled=0xF0000), None),  # nobody knows since when
        (WELL, but(temperature_c=80.0), "80.0 C hot, and throttles from 80 C on"),
        (but(temperature_c=81.25), WELL, "81.2 C hot"),
        (WELL, but(temperature_c=79.9), None),
        (WELL, but(clock_mhz=1425.0), None),
        (WELL, but(clock_mhz=1400.0), "the clock was 1400 MHz instead of 1500"),
        (but(clock_mhz=600.0), WELL, None),  # it rested before
        (WELL, but(governor="powersave"), "scaling_governor` changes it"),
    ],
)
def test_the_devices_state(before: Readings, after: Readings, said: str | None) -> None:
    reasons = spoilt(before, after, LIMITS, PROTOCOL)
    assert len(reasons) == (said is not None)
    if said is not None:
        assert said in reasons[0]


def test_all_that_is_wrong_is_said() -> None:
    bad = but(throttled=0x4, temperature_c=85.0, clock_mhz=600.0, governor="powersave")
    assert len(spoilt(WELL, bad, LIMITS, PROTOCOL)) == 4


def test_without_limits_only_the_highest_clock_is_known() -> None:
    hot, slow = but(temperature_c=99.0), but(clock_mhz=1000.0)
    assert spoilt(WELL, hot, Limits(), PROTOCOL, 1500.0) == []
    assert spoilt(WELL, slow, Limits(), PROTOCOL) == []
    assert spoilt(WELL, slow, Limits(), PROTOCOL, 1500.0) == ["the clock was 1000 MHz instead of 1500"]


@pytest.mark.parametrize(("before", "after", "many"), [(7, 7, 0), (7, 19, 1), (None, 19, 0), (7, None, 0)])
def test_swapped(before: int | None, after: int | None, many: int) -> None:
    found = swapped(but(swapped_pages=before), but(swapped_pages=after))
    assert len(found) == many
    assert all("12 pages" in reason for reason in found)


@pytest.mark.parametrize(
    ("load", "many"),
    [
        (Load(0.2, 0.2, 0.0, 0.0, 0.0, 0), 0),
        (Load(0.2, 0.2, 0.05, 0.01, 0.01, 0), 0),  # a tick each is forgiven
        (Load(0.2, 0.2, 0.06, 0.0, 0.0, 0), 1),
        (Load(0.2, 0.1, 0.3, 0.1, 0.1, 0), 3),
        (Load(0.2, 0.2, None, None, None, None), 1),  # nothing says how busy it was
        (Load(0.05, 0.05, 0.1, 0.1, 0.1, 0), 0),  # too short to say
    ],
)
def test_a_busy_window(load: Load, many: int) -> None:
    assert len(busy_window(load, 2, PROTOCOL)) == many


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (WELL, True),
        (UNKNOWN, True),
        (but(temperature_c=70.0), True),
        (but(temperature_c=70.1), False),
        (but(throttled=0x2), False),
        (but(throttled=0xF0000), True),
    ],
)
def test_cool(readings: Readings, expected: bool) -> None:
    assert cool(readings, LIMITS, PROTOCOL) is expected


def test_the_worst_of_each() -> None:
    missing = {"power_w": "it does not say"}
    found = worst(
        [
            Readings(50.0, 1500.0, 0x1, None, "powersave", 3, missing),
            Readings(60.0, 1400.0, 0x4, None, "performance", 5, missing),
        ]
    )
    assert found == Readings(60.0, 1400.0, 0x5, None, "powersave", 5, missing)
    assert worst([]) is None
