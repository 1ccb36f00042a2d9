"""Ask a device what it is: edgecnn/edge/probe.py is sent to its Python and leaves nothing there."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecnn.edge.machine import TELLING
from edgecnn.errors import DeviceError, UnusableFile
from edgecnn.records import from_json
from edgecnn.remote.ssh import Connection

PROBING_S = 45.0
"""Most of it is libcamera, on a slow card."""
NOT_FOUND = 127
"""A shell's exit code where there is no such command."""


@dataclass(frozen=True)
class FoundCamera:
    """A camera: the `source` that `edgecnn camera` opens it by, and what it calls itself."""

    source: str
    name: str


@dataclass(frozen=True)
class Environment:
    """~/.edgecnn/venv: the Python that it was made with, what setup put there (package to version), whether it came to
    its end, and what it takes on the disk.
    """

    python: str
    packages: Mapping[str, str]
    whole: bool
    size_bytes: int


@dataclass(frozen=True)
class Probe:
    """What a device says of itself; None is what it does not say.

    architecture: of the userland, not of the kernel. instruction_sets: those that decide how int8 is computed. glibc:
    None where the C library is another. l4t: a Jetson's Linux. vcgencmd: whether a Raspberry Pi's firmware answers.
    packages: modules that the system's Python finds, with versions. memory_mib, available_mib, swap_mib: RAM.
    """

    architecture: str
    kernel: str
    kernel_architecture: str
    system: str | None
    codename: str | None
    python: str
    executable: str
    has_venv: bool
    glibc: str | None
    page_bytes: int
    cores: int
    processor: str | None
    instruction_sets: tuple[str, ...]
    model: str | None
    memory_mib: int | None
    available_mib: int | None
    swap_mib: int | None
    disk_free_mib: int
    governor: str | None
    temperature_c: float | None
    cameras: tuple[FoundCamera, ...]
    l4t: str | None
    vcgencmd: bool | None
    packages: Mapping[str, str | None]
    environment: Environment | None

    @property
    def python_minor(self) -> tuple[int, int]:
        """(3, 11) of 3.11.2."""
        return version_pair(self.python)


def version_pair(version: str) -> tuple[int, int]:
    """The first two numbers of a version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def probe(connection: Connection, python: str = "python3", environment: Mapping[str, str] | None = None) -> Probe:
    """What the device at the other end is; DeviceError where there is no Python, or what it says makes no sense."""
    host = connection.address.host
    done = connection.run([python, "-"], stdin=_code(), seconds=PROBING_S, environment=environment)
    if done.code == NOT_FOUND:
        raise DeviceError(
            f"{host}: there is no {python} over there; install it (sudo apt install python3) and try again"
        )
    if done.code != 0:
        raise DeviceError(f"{host}: {python} can't say what the device is ({_last(done.err) or _last(done.out)})")
    return _read(host, done.out)


def probe_here() -> Probe:
    """What this machine is."""
    done = subprocess.run([sys.executable, "-"], input=_code(), capture_output=True, check=True, timeout=PROBING_S)
    return _read("this machine", done.stdout)


def _code() -> bytes:
    return (importlib.resources.files("edgecnn.edge") / "probe.py").read_bytes()


def _read(host: str, out: bytes) -> Probe:
    try:
        found: dict[str, Any] = json.loads(out.splitlines()[-1])  # a login shell may greet before
        found["instruction_sets"] = sorted(TELLING.intersection(found["flags"]))
        return from_json(Probe, found)
    except (ValueError, IndexError, TypeError, KeyError, UnusableFile) as error:
        raise DeviceError(f"{host}: what its Python says of it can't be read ({error})") from error


def _last(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
