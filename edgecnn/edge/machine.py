"""What this machine is: the parts of /proc/cpuinfo that decide how int8 is computed."""

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
