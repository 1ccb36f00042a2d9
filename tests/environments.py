"""Virtual environments for libraries that can't, or shall not, lie beside edgecnn's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def make_environment(folder: Path, *requirements: str) -> Path:
    """A new environment in `folder` with what is required and nothing of edgecnn's; the path of its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
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
