"""What --device names -> a place where models run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

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
