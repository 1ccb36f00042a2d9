"""What this machine is: its processor, the instruction sets that decide how int8 is computed, its governor."""

from __future__ import annotations

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
}
"""Flags of x86 (first) and ARM that pick one integer kernel or another."""

CPUINFO = Path("/proc/cpuinfo")


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
