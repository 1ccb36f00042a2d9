"""What this machine is: the parts of /proc/cpuinfo that decide how int8 is computed, and its free memory."""

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


def instruction_sets(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """The telling instruction sets of the first core, sorted; empty where the system does not say."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            return tuple(sorted(TELLING & set(value.split())))
    return ()


def free_memory() -> float:
    """Bytes that can be used without swapping, by Linux's estimate; infinite where it can't be read."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return float("inf")
