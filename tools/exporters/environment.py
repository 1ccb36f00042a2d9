"""An environment of its own for each exporter: made once, installed with uv where there is one, else with pip."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgecnn.records import read_json, write_json
from tools.exporters.exporter import ROOT, Exporter

STAMP = "exporter.json"
TORCH = {"torch", "torchgen", "functorch", "triton", "nvidia", "cuda"}
"""Folders of site-packages that torch's wheel for CUDA fills, and what it brings along."""


@dataclass(frozen=True)
class Environment:
    """Where it lies, and the MB (10^6 bytes) that installing added to an empty one; `torch_mb` is a part of them."""

    folder: str
    fingerprint: str
    installed_mb: float
    torch_mb: float

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return Path(self.folder) / "bin/python"


def make_environment(exporter: Exporter, folder: Path) -> Environment:
    """The environment of an exporter in a folder.

    What is there and was finished is taken as it is; what was interrupted is made anew.
    """
    place, wanted = folder / exporter.name, _fingerprint(exporter)
    stamp = place / STAMP
    if stamp.is_file():
        found = read_json(Environment, stamp)
        if found.fingerprint == wanted:
            return found
    print(f"{exporter.name}: installing {', '.join(exporter.requires)} into {place}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    install = _empty(place)
    before = _size(place)
    constraints = ["--constraint", exporter.constraints] if exporter.constraints else []
    subprocess.run([*install, *constraints, *exporter.requires], cwd=ROOT, check=True)
    torch = sum(_size(packages / name) for packages in place.glob("lib/python*/site-packages") for name in TORCH)
    made = Environment(str(place), wanted, round((_size(place) - before) / 1e6, 1), round(torch / 1e6, 1))
    write_json(stamp, made)
    return made


def _empty(place: Path) -> list[str]:
    """Make an empty environment; the command that installs into it."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
        return [uv, "pip", "install", "--quiet", "--python", str(place / "bin/python")]
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    return [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile"]


def _fingerprint(exporter: Exporter) -> str:
    parts = [sys.version, *exporter.requires]
    if exporter.constraints:
        parts += [(ROOT / exporter.constraints).read_text(), (ROOT / "pyproject.toml").read_text()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _size(place: Path) -> int:
    """Bytes of all files, without what Python compiles by itself."""
    files = (path for path in place.rglob("*") if "__pycache__" not in path.parts)
    return sum(path.lstat().st_size for path in files if path.is_file() and not path.is_symlink())
