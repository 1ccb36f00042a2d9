"""Threads that wait asleep: what the environment says, and that it is said before torch is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.train.spinning import SPINS, spin_briefly

FIRST_TORCH = """
import os, sys
from importlib.abc import MetaPathFinder

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            os._exit(0)

sys.meta_path.insert(0, Watch())
from edgecnn.cli import main
sys.argv = ["edgecnn", "train", "quickstart"]
main()
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_a_user_has_the_last_word(environment: dict[str, str], expected: str | None) -> None:
    spin_briefly(environment)
    assert environment.get("GOMP_SPINCOUNT") == expected


def test_it_is_said_before_torch_is_loaded(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-c", FIRST_TORCH]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == SPINS, done.stderr
