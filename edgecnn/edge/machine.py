"""What this machine is: its processor, the instruction sets that decide how int8 is computed, governor, memory."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

TELLING = {
    "avx",
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "fma",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
    "neon",
    "ssse3",
}
"""Flags of x86 and ARM that pick one integer kernel or another."""
VNNI = {"avx512_vnni", "avx_vnni"}
"""Flags of x86 that add products of int8 in 32 bits."""


def saturates_pairs(sets: Collection[str]) -> bool:
    """Whether a machine of these instruction sets is an x86 one that adds products in pairs, in 16 bits (PMADDUBSW)."""
    return "ssse3" in sets and VNNI.isdisjoint(sets)


CPUINFO = Path("/proc/cpuinfo")
PERFORMANCE = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
"""What a person types for the highest clock."""


def instruction_sets(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """The telling instruction sets of the first core, sorted; empty where the system does not say."""
    said = _said(cpuinfo)
    return tuple(sorted(TELLING & set(said.get("flags", said.get("features", "")).split())))


def processor(cpuinfo: Path = CPUINFO) -> str | None:
    """What the first core calls itself, or the board where ARM cores don't; None where the system says neither."""
    said = _said(cpuinfo)
    return said.get("model name", said.get("model"))


def governor(cpu: Path = Path("/sys/devices/system/cpu/cpu0")) -> str | None:
    """The first core's frequency governor, such as `performance`; None where there is none (virtual machines)."""
    try:
        return (cpu / "cpufreq" / "scaling_governor").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _said(cpuinfo: Path) -> dict[str, str]:
    """Every key of /proc/cpuinfo with the value that it has first."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    said: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        said.setdefault(key.strip().lower(), value.strip())
    return said


def free_memory() -> float:
    """Bytes that can be used without swapping, by Linux's estimate; infinite where it can't be read."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return float("inf")
