"""Probes of devices that are not here."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgecnn.remote.probing import Environment, FoundCamera, Probe

PI_4 = Probe(
    architecture="aarch64",
    kernel="6.6.51+rpt-rpi-v8",
    kernel_architecture="aarch64",
    system="Debian GNU/Linux 12 (bookworm)",
    codename="bookworm",
    python="3.11.2",
    executable="/usr/bin/python3",
    has_venv=True,
    glibc="2.36",
    page_bytes=4096,
    cores=4,
    processor="Cortex-A72",
    instruction_sets=("asimd",),
    model="Raspberry Pi 4 Model B Rev 1.4",
    memory_mib=3794,
    available_mib=3200,
    swap_mib=511,
    disk_free_mib=20_000,
    governor="performance",
    temperature_c=45.0,
    cameras=(FoundCamera("picamera://0", "imx708"),),
    l4t=None,
    vcgencmd=True,
    packages={},
    environment=None,
)


def pi(**changes: Any) -> Probe:
    """A Raspberry Pi 4 with a 64-bit bookworm, but for the changes."""
    return dataclasses.replace(PI_4, **changes)


def environment(packages: dict[str, str], *, python: str = "3.11.2", whole: bool = True) -> Environment:
    """What setup has put there."""
    return Environment(python, packages, whole, 110_000_000)
