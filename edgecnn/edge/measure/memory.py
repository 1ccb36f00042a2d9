"""How much memory this process has held at most."""

from __future__ import annotations

from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_rss_mib(status: Path = STATUS) -> float | None:
    """The most that was resident since this program began (VmHWM); None where the system does not say.

    getrusage's ru_maxrss is no substitute: what a parent held when it started this process counts there.
    """
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key == "VmHWM":
            return int(value.split()[0]) / 1024
    return None
