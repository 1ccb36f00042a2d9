"""Virtual environments for libraries that can't, or shall not, lie beside edgecnn's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def make_environment(folder: Path, *requirements: str, python: str | Path = sys.executable) -> Path:
    """A new environment in `folder` with what is required and nothing of edgecnn's; the path of its Python.

    A requirement may be an option of pip's too: --no-deps.
    """
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "-q", *requirements]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "python"


def run_script(python: Path, script: str, *arguments: object, **environment: str) -> Any:
    """What a script prints last, as JSON; nothing of this process's environment reaches it."""
    done = subprocess.run(
        [python, "-c", script, *map(str, arguments)],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def pythons() -> list[Path]:
    """The Pythons of this machine that edgecnn runs under, the oldest version first; one for each version."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    found: dict[tuple[int, int], Path] = {}
    for folder in folders:
        for minor in range(10, 14):
            path = Path(folder) / f"python3.{minor}"
            if "shims" not in path.parts and path.is_file():
                found.setdefault((3, minor), path)
    found.setdefault(sys.version_info[:2], Path(sys.executable))
    return [found[version] for version in sorted(found)]
