"""An environment of its own for each exporter: made once, installed with uv where there is one, else with pip."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from edgecnn.records import write_whole
from tools.exporters.exporter import Exporter

ROOT = Path(__file__).parents[2]
STAMP = "exporter.stamp"


def make_environment(exporter: Exporter, folder: Path) -> tuple[Path, float]:
    """Its Python, and the MB (10^6 bytes) that installing it added to an empty environment.

    What is there and was finished is taken as it is; what was interrupted is made anew.
    """
    place = folder / exporter.name
    python, stamp = place / "bin/python", place / STAMP
    wanted = _fingerprint(exporter)
    if stamp.is_file():
        made, _, megabytes = stamp.read_text().partition(" ")
        if made == wanted:
            return python, float(megabytes)
    print(f"{exporter.name}: installing {', '.join(exporter.requires)} into {place}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    install = _empty(place)
    before = _size(place)
    constraints = ["--constraint", exporter.constraints] if exporter.constraints else []
    subprocess.run([*install, *constraints, *exporter.requires], cwd=ROOT, check=True)
    added = (_size(place) - before) / 1e6
    write_whole(stamp, f"{wanted} {added:.1f}".encode())
    return python, added


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
