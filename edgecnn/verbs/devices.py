"""`edgecnn devices`: the profiles of devices that models are made for."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.remote.profiles import load_profile, profile_names


@dataclass(frozen=True)
class Bound:
    """An upper bound with its unit and source."""

    what: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class DeviceRecord:
    """One profile."""

    name: str
    title: str
    cpu: str
    cores: int
    architecture: str
    instruction_sets: tuple[str, ...]
    bounds: tuple[Bound, ...]
    notes: tuple[str, ...]
    schema: str = "edgecnn.devices/1"


@dataclass(frozen=True)
class DeviceList:
    """Every profile."""

    devices: tuple[DeviceRecord, ...]
    schema: str = "edgecnn.devices/1"


UNITS = (
    ("fp32", "fp32_gmacs", "GMAC/s"),
    ("int8", "int8_gmacs", "GMAC/s"),
    ("memory", "memory_gb_s", "GB/s"),
)


def list_devices() -> DeviceList:
    """Every packaged profile, by name."""
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
    )
