"""`edgecnn devices setup`: give a device what edgecnn needs there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecnn.errors import UsageError
from edgecnn.remote.profiles import address_of, load_profile
from edgecnn.remote.setup import default_runtimes, provision
from edgecnn.remote.ssh import Connection


@dataclass(frozen=True)
class SetupRecord:
    """A device that is ready. packages: what its environment (~/.edgecnn/venv) holds by setup, name to version; system:
    packages that are left to the device's system. installed: what is new, none where nothing was to do.
    uploaded_bytes: what travelled; environment_bytes: what the environment takes there.
    """

    device: str
    python: str
    runtimes: tuple[str, ...]
    packages: dict[str, str]
    system: tuple[str, ...]
    installed: tuple[str, ...]
    uploaded_bytes: int
    environment_bytes: int
    schema: str = "edgecnn.devices/1"


def setup_device(
    name: str,
    runtimes: Sequence[str] = (),
    *,
    camera: bool = False,
    message: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SetupRecord:
    """Install runtimes (default: the profile's first), with `camera` OpenCV and the page's libraries.

    Doing it again changes nothing; what is there already stays. Nothing but the workstation needs a network. Raises
    DeviceError where the device can't be reached or used, OutOfResources where its disk is too small, UsageError.
    """
    profile = load_profile(name)
    address = address_of(profile)
    chosen = tuple(dict.fromkeys(runtimes)) or default_runtimes(profile)
    if not chosen:
        raise UsageError(f"the profile {name} names no runtime that setup can install; choose one with --runtime")
    with Connection(address) as connection:
        done = provision(connection, profile, chosen, camera=camera, message=message, progress=progress)
    return SetupRecord(
        name,
        done.probe.python,
        chosen,
        dict(done.packages),
        done.system,
        tuple(map(str, done.installed)),
        done.uploaded_bytes,
        done.environment_bytes,
    )
