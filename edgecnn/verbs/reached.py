"""What --device names -> a place where models run, and how it is watched meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from edgecnn.edge.measure.readings import Sensor
from edgecnn.measuring.monitor import Limits, Watching
from edgecnn.measuring.place import HERE, Place
from edgecnn.measuring.subject import Subject
from edgecnn.remote.device import Device, reach
from edgecnn.remote.profiles import Profile
from edgecnn.verbs.subjects import files_of


@contextlib.contextmanager
def reached(profile: Profile, subjects: Sequence[Subject], message: Callable[[str], None]) -> Iterator[Device]:
    """A device with the application and these model files on it, while the block runs.

    Raises what `reach` raises, OutOfResources where its disk is full.
    """
    with reach(profile, message) as device:
        travelled = device.put([files_of(subject.path) for subject in subjects])
        if travelled:
            message(f"{travelled / 2**20:.1f} MiB of models put there")
        yield device


@contextlib.contextmanager
def placed(profile: Profile | None, subjects: Sequence[Subject], message: Callable[[str], None]) -> Iterator[Place]:
    """The place that a profile is about, with these model files; this machine without one. Raises as `reached`."""
    if profile is None or profile.here:
        yield HERE
        return
    with reached(profile, subjects, message) as device:
        yield device


def watching_of(profile: Profile | None) -> Watching:
    """How a device is watched: by its profile's sensors and limits, else by what Linux says by itself."""
    if profile is None:
        return Watching()
    sensors: dict[str, Sensor] = {}
    for name, sensor in profile.sensors.items():
        sensors[name] = Sensor(sensor.command, sensor.pattern, sensor.scale)
    return Watching(sensors, Limits(profile.throttles_at_c, profile.clock_mhz))
