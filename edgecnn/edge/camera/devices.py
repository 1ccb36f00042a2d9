"""The cameras that Linux knows (V4L2), and why one of them can't be opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KNOWN = Path("/sys/class/video4linux")
OWN_ADDRESSES = {"unicam": "picamera://0", "rp1-cfe": "picamera://0", "tegra": "csi://0", "vi-output": "csi://0"}
"""What the drivers of ribbon-cable cameras call themselves -> the source that brings their pictures through the ISP."""


@dataclass(frozen=True)
class Camera:
    """A device that may give pictures: `/dev/video0`, and what its driver calls it."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path} ({self.name})"


def cameras(known: Path = KNOWN) -> tuple[Camera, ...]:
    """Every V4L2 device by number. USB cameras have a second one, for metadata, which is left out."""
    numbered = [folder for folder in known.glob("video*") if folder.name[5:].isdigit()]
    folders = sorted(numbered, key=lambda folder: int(folder.name[5:]))
    return tuple(
        Camera(f"/dev/{folder.name}", _said(folder / "name") or "unnamed")
        for folder in folders
        if _said(folder / "index") in ("", "0")
    )


def _said(path: Path) -> str:
    """What a file of /sys says; empty where it is missing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def others(known: Sequence[Camera]) -> str:
    """The end of a sentence: which cameras there are, or how to find out why there are none."""
    if not known:
        return "this machine knows no camera: connect one (`lsusb` shows whether it is seen), or try fake://"
    by_isp = {address for part, address in OWN_ADDRESSES.items() if any(part in camera.name for camera in known)}
    through = f"; the one on the ribbon cable is {' or '.join(sorted(by_isp))}" if by_isp else ""
    return f"there are {', '.join(map(str, known))}{through}"


def why_not(path: str, known: Sequence[Camera]) -> str:
    """One sentence for a camera that did not open: missing, not permitted, or busy or no camera."""
    if not os.path.exists(path):
        return f"{path}: there is no such camera; {others(known)}"
    if not os.access(path, os.R_OK | os.W_OK):
        group = _group(path)
        return f"{path}: this user may not open it: sudo usermod -aG {group} $USER, then log in again"
    return (
        f"{path}: gives no pictures through V4L2: another program may hold it (`fuser -v {path}` names it), or it is "
        f"no camera; {others(known)}"
    )


def _group(path: str) -> str:
    """The group that may open a device; `video` where it has no name."""
    import grp

    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (KeyError, OSError):
        return "video"
