"""`edgecnn devices list|show|probe`: what is known of devices, and what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.remote.advice import Finding, Offer, advise
from edgecnn.remote.probing import Probe, probe, probe_here
from edgecnn.remote.profiles import address_of, load_profile, profile_names, recognise
from edgecnn.remote.ssh import Connection


@dataclass(frozen=True)
class Bound:
    """An upper bound with its unit and source."""

    what: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class DeviceRecord:
    """One profile. host: how ssh reaches it, None where the profile does not say. sensors: what can be read there by a
    command. unsupported: why nothing can be put there.
    """

    name: str
    title: str
    cpu: str
    cores: int
    architecture: str
    instruction_sets: tuple[str, ...]
    bounds: tuple[Bound, ...]
    notes: tuple[str, ...]
    host: str | None
    here: bool
    emulated: bool
    unsupported: str | None
    runtimes: tuple[str, ...]
    camera: str
    clock_mhz: float | None
    throttles_at_c: float | None
    sensors: tuple[str, ...]
    schema: str = "edgecnn.devices/1"


@dataclass(frozen=True)
class DeviceList:
    """Every profile."""

    devices: tuple[DeviceRecord, ...]
    schema: str = "edgecnn.devices/1"


@dataclass(frozen=True)
class ProbeRecord:
    """A device as it is. profile: the packaged one that knows its board, if any. supported: whether setup can put
    something there; runtimes: what it can have; findings: what to know, and what to do about it. next: the command that
    follows, if any.
    """

    device: str
    profile: str | None
    supported: bool
    probe: Probe
    runtimes: tuple[Offer, ...]
    findings: tuple[Finding, ...]
    next: str | None
    schema: str = "edgecnn.devices/1"


UNITS = (
    ("fp32", "fp32_gmacs", "GMAC/s"),
    ("int8", "int8_gmacs", "GMAC/s"),
    ("memory", "memory_gb_s", "GB/s"),
)


def list_devices() -> DeviceList:
    """Every profile, by name: the user's own and the packaged ones."""
    return DeviceList(tuple(show_device(name) for name in profile_names()))


def show_device(name: str) -> DeviceRecord:
    """One profile; UsageError with the nearest name where there is none."""
    profile = load_profile(name)
    figures = ((what, getattr(profile.peak, key), unit) for what, key, unit in UNITS)
    bounds = tuple(Bound(what, figure.value, unit, figure.source) for what, figure, unit in figures if figure)
    return DeviceRecord(
        profile.name,
        profile.title,
        profile.cpu,
        profile.cores,
        profile.architecture,
        profile.instruction_sets,
        bounds,
        profile.notes,
        profile.ssh.host if profile.ssh is not None else None,
        profile.here,
        profile.emulated,
        profile.unsupported,
        profile.runtimes,
        profile.camera,
        profile.clock_mhz,
        profile.throttles_at_c,
        tuple(sorted(profile.sensors)),
    )


def probe_device(name: str) -> ProbeRecord:
    """Ask a device what it is; also one that can't be used gets an answer, which says why.

    Raises DeviceError where it can't be reached or has no Python, UsageError where its profile does not say where that
    is.
    """
    profile = load_profile(name)
    if profile.here:
        return _probed(name, probe_here(), "edgecnn doctor")
    with Connection(address_of(profile)) as connection:
        found = probe(connection, profile.python, profile.environment)
    return _probed(name, found, f"edgecnn devices setup {name}")


def _probed(name: str, found: Probe, then: str) -> ProbeRecord:
    advice = advise(found)
    known, is_usable = recognise(found.model), not advice.blocking
    return ProbeRecord(name, known, is_usable, found, advice.runtimes, advice.findings, then if is_usable else None)
