"""Which way imports go: the tree keeps the table in pyproject.toml, and each planted violation turns it red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources and of the table."""
    shutil.copytree(REPO / "edgecnn", tmp_path / "edgecnn", ignore=shutil.ignore_patterns("__pycache__", "packaged"))
    (tmp_path / "edgecnn" / "packaged").mkdir()  # its code only: pictures and models import nothing
    shutil.copy(REPO / "edgecnn" / "packaged" / "__init__.py", tmp_path / "edgecnn" / "packaged")
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(
        [lint_imports, "--no-cache", "--no-logo"], cwd=tree, env=environment, capture_output=True, text=True
    )


def test_the_tree_keeps_the_table(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


VIOLATIONS = {
    "an edge module imports torch": ("edge/pixels.py", "import torch", "edgecnn.edge is not allowed to import torch"),
    "the same inside a function": (
        "edge/pixels.py",
        "def planted() -> None:\n    import pydantic",
        "edgecnn.edge is not allowed to import pydantic",
    ),
    "data imports torch": ("data/__init__.py", "import torch", "edgecnn.data is not allowed to import torch"),
    "a format imports torch": ("formats/__init__.py", "import torch", "edgecnn.formats is not allowed to import torch"),
    "a verb imports the command line": (
        "verbs/__init__.py",
        "import edgecnn.cli",
        "edgecnn.verbs is not allowed to import edgecnn.cli",
    ),
    "edge imports a higher floor": (
        "edge/pixels.py",
        "import edgecnn.data",
        "edgecnn.edge is not allowed to import edgecnn.data",
    ),
    "floor 2 imports sideways": (
        "nn/__init__.py",
        "import edgecnn.graph",
        "edgecnn.nn is not allowed to import edgecnn.graph",
    ),
    "floor 0 imports a room": (
        "errors.py",
        "import edgecnn.records",
        "edgecnn.errors is not allowed to import edgecnn.records",
    ),
    "a room that no floor has": ("basement.py", "import edgecnn.errors", "basement"),
}


@pytest.mark.parametrize(("file", "planted", "said"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_planted_violation_is_seen(tree: Path, file: str, planted: str, said: str) -> None:
    with (tree / "edgecnn" / file).open("a") as module:
        module.write(f"\n\n{planted}\n")
    done = lint(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout
