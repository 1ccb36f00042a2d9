"""Give a device what it needs: an environment at ~/.edgecnn/venv with the engines, from wheels that are fetched here.

The device needs no network, no pip and no right that its user does not have. Doing it again changes nothing; one that
was interrupted is picked up, and what has arrived does not travel again.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import select
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.edge.provision import FOLDER
from edgecnn.errors import DeviceError, OutOfResources
from edgecnn.remote.advice import advise, given_by_system, target_of
from edgecnn.remote.files import Parcel, upload
from edgecnn.remote.probing import Environment, Probe, probe, version_pair
from edgecnn.remote.profiles import Profile
from edgecnn.remote.ssh import Connection
from edgecnn.remote.wheels import ENGINES, INSTALLER, PYTHONS, UNUSED, VERSIONS, Pin, fetch, pin, wanted

INSTALLING_S = 1800.0
"""A slow card, an emulated processor."""
LOADED = {"litert": "ai_edge_litert.interpreter", "onnxruntime": "onnxruntime", "openvino": "openvino"}
"""Runtime -> what must load over there once it is installed."""
MARGIN = 32 << 20
PATIENCE_S = 20.0
"""For another setup over there to end: one that was cut off does so soon."""


@dataclass(frozen=True)
class Provisioned:
    """What the environment of a device holds. installed: what is new there, in this order; empty where nothing was to
    do. uploaded_bytes: what had to travel; environment_bytes: what it takes on the device's disk.
    """

    probe: Probe
    packages: Mapping[str, str]
    system: tuple[str, ...]
    installed: tuple[Pin, ...]
    uploaded_bytes: int
    environment_bytes: int


@dataclass(frozen=True)
class Plan:
    """What is to be in an environment, what of it is not there yet, and whether all of it is made anew."""

    packages: tuple[Pin, ...]
    missing: tuple[Pin, ...]
    fresh: bool


def provision(
    connection: Connection,
    profile: Profile,
    runtimes: Sequence[str],
    *,
    camera: bool = False,
    message: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cache: Path | None = None,
) -> Provisioned:
    """Make or complete the environment over there.

    message hears what is being done, progress of bytes on their way. Raises DeviceError where the device can't be used
    or an engine does not load there, OutOfResources where its disk is too small, UsageError where the wheels can't be
    fetched.
    """
    wanted(runtimes, PYTHONS[1])  # a word that is none is said before anything is asked
    message(f"asking {profile.name} what it is")
    found = probe(connection, profile.python, profile.environment)
    refuse_unusable(profile.name, found, runtimes)
    given = given_by_system(found)
    pins = wanted(runtimes, found.python_minor, camera=camera, given=given)
    plan = plan_for(found.environment, found.python, pins, given)
    packages = {entry.package: entry.version for entry in plan.packages}
    if not plan.missing and not plan.fresh:
        assert found.environment is not None, "it is whole"
        return Provisioned(found, packages, given, (), 0, found.environment.size_bytes)
    wheels = fetch([*plan.missing, pin(INSTALLER, found.python_minor)], target_of(found), message=message, cache=cache)
    _need_space(profile.name, found, wheels.values())
    parcels = {entry: Parcel(f"{FOLDER}/wheels/{wheel.name}", wheel) for entry, wheel in wheels.items()}
    message(f"uploading {sum(parcel.size for parcel in parcels.values()) / 1e6:.0f} MB as far as it is not there")
    uploaded = upload(connection, list(parcels.values()), python=profile.python, progress=progress)
    message(f"installing {', '.join(map(str, plan.missing))} over there")
    modules = [LOADED[runtime] for runtime in runtimes] + (["cv2"] if camera else [])
    size = _install(connection, profile, plan, parcels, modules)
    return Provisioned(found, packages, given, plan.missing, uploaded, size)


def refuse_unusable(name: str, found: Probe, runtimes: Sequence[str]) -> None:
    """DeviceError, with all reasons, where the device or one of the runtimes can't be used."""
    advice = advise(found)
    if advice.blocking:
        raise DeviceError(f"{name} is not supported: {'; '.join(map(str, advice.blocking))}")
    for offer in advice.runtimes:
        if offer.runtime in runtimes and offer.reason is not None:
            raise DeviceError(f"{name} can't have {offer.runtime}: {offer.reason}")


def plan_for(environment: Environment | None, python: str, pins: Sequence[Pin], given: Sequence[str] = ()) -> Plan:
    """What is to be done to an environment so that it holds the pins beside what setup has put there before.

    It is made anew where there is none, where it was left half done, where the system has another Python now, and
    where it holds one of what the system gives (`given`), which would stand before that.
    """
    if environment is None or not environment.whole:
        return Plan(tuple(pins), tuple(pins), True)
    there = {Pin(*pair) for pair in environment.packages.items()}
    names = {entry.package for entry in pins} | set(given)
    kept = {entry for entry in there if entry.package not in names}
    minor = version_pair(python)
    if version_pair(environment.python) != minor or not set(given).isdisjoint(environment.packages):
        again = {pin(entry.package, minor) for entry in kept if entry.package in VERSIONS}
        everything = tuple(sorted(again | set(pins)))
        return Plan(everything, everything, True)
    return Plan(tuple(sorted(kept | set(pins))), tuple(entry for entry in pins if entry not in there), False)


def _need_space(name: str, found: Probe, wheels: Any) -> None:
    needed = MARGIN + sum(wheel.stat().st_size + _unpacked(wheel) for wheel in wheels)
    if needed > found.disk_free_mib * 2**20:
        raise OutOfResources(
            f"{name}: its disk has {found.disk_free_mib} MiB free, but {needed / 2**20:.0f} MiB are needed; "
            "free some space there"
        )


def _unpacked(wheel: Path) -> int:
    with zipfile.ZipFile(wheel) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _install(
    connection: Connection, profile: Profile, plan: Plan, parcels: Mapping[Pin, Parcel], modules: Sequence[str]
) -> int:
    """Let edgecnn/edge/provision.py do it; bytes of the environment."""
    request = {
        "patience_s": PATIENCE_S,
        "fresh": plan.fresh,
        "pip": next(parcel.path for entry, parcel in parcels.items() if entry.package == INSTALLER),
        "wheels": {entry.package: parcels[entry].path for entry in plan.missing},
        "packages": {entry.package: entry.version for entry in plan.packages},
        "unused": UNUSED,
        "modules": modules,
    }
    code = (importlib.resources.files("edgecnn.edge") / "provision.py").read_text(encoding="utf-8")
    out, err = _ask(connection, profile, code, json.dumps(request).encode() + b"\n")
    try:
        answer: dict[str, Any] = json.loads(out)
        if "error" not in answer:
            return int(answer["bytes"])
    except (ValueError, KeyError, TypeError) as error:
        last = (err.decode(errors="replace").strip().splitlines() or ["without a word"])[-1]
        raise DeviceError(f"{profile.name}: the environment could not be made ({last})") from error
    if answer.get("full"):
        raise OutOfResources(f"{profile.name}: its disk is full; free some space there and run it again")
    raise DeviceError(f"{profile.name}: {answer['error']}")


def _ask(connection: Connection, profile: Profile, code: str, request: bytes) -> tuple[bytes, bytes]:
    """A program's first line over there, and its stderr where it says none. It may live as long as its stdin does."""
    words = [profile.python, "-c", code]
    with connection.start(words, environment=profile.environment, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None, "it is a pipe"
        assert process.stdout is not None, "it is a pipe"
        assert process.stderr is not None, "it is a pipe"
        try:
            with contextlib.suppress(BrokenPipeError):  # why, is said on its stderr
                process.stdin.write(request)
            if not select.select([process.stdout], [], [], INSTALLING_S)[0]:
                raise DeviceError(f"{profile.name}: the environment was not made in {INSTALLING_S:.0f} s; try again")
            line = process.stdout.readline()
            said = b"" if line else process.stderr.read()
            if not line:
                connection.check(process.wait(), said)
            return line, said
        finally:
            process.kill()


def default_runtimes(profile: Profile) -> tuple[str, ...]:
    """The first of the profile's that setup can install."""
    return tuple(runtime for runtime in profile.runtimes if runtime in ENGINES)[:1]
