"""The coordinator's side of a device's readings: a process over there answers with what its sensors say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgecnn.edge.measure.readings import PATIENCE_S, Readings, Sensor
from edgecnn.errors import DeviceError
from edgecnn.measuring.conversation import Astray, Ended, Partner, Silent
from edgecnn.measuring.place import HERE, Place
from edgecnn.records import from_json, to_json

STARTING_S = 120.0
"""Python has to start over there first."""
ANSWERING_S = PATIENCE_S + 20.0
"""A reading takes what its commands may take; the rest is for the way there and back."""


@dataclass(frozen=True)
class Limits:
    """What a device must keep to while it is measured; None where nobody knows.

    clock_mhz: the nominal clock. Without it, the highest clock of the measurement is what others are held against.
    """

    throttles_at_c: float | None = None
    clock_mhz: float | None = None


@dataclass(frozen=True)
class Watching:
    """How a device is watched while it is measured: its profile's sensors, by the names of `Readings`, and limits."""

    sensors: Mapping[str, Sensor] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


class Watch(Protocol):
    """What says how the device is."""

    def read(self) -> Readings:
        """Its readings now; DeviceError where it does not answer."""


@dataclass(frozen=True)
class Site:
    """Where it is measured: a place, what says how that is, and what it must keep to."""

    place: Place
    watch: Watch
    limits: Limits


class Monitor(Partner):
    """A process on the device that reads its sensors when it is asked; LinkLost where the device can't be reached."""

    def __init__(self, sensors: Mapping[str, Sensor], place: Place = HERE) -> None:
        super().__init__(place, ["watch"])
        try:
            self._ask({"do": "use", "sensors": to_json(sensors)}, STARTING_S)
        except BaseException:
            self.close()
            raise

    def read(self) -> Readings:
        """The device's readings now; DeviceError where it does not answer."""
        return from_json(Readings, self._ask({"do": "read"}, ANSWERING_S))

    def _ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        try:
            return self._conversation.ask(request, seconds)["answer"]
        except Ended as ended:
            raise DeviceError(
                f"what reads the device's sensors ended while it was needed (exit code {ended.code}): see whether the "
                "device still answers, and measure again"
            ) from ended
        except Silent as silent:
            raise DeviceError(
                "what reads the device's sensors gives no answer: see whether the device still does, and measure again"
            ) from silent
        except (Astray, KeyError, TypeError) as error:
            raise DeviceError(
                f"what reads the device's sensors answered {str(error)[:80]!r}, which is no answer; measure again"
            ) from error
