"""A session whose person sits at another machine: what it is asked for, and what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgecnn.edge.camera.distant import Order
from edgecnn.edge.camera.session import Options
from edgecnn.records import to_json
from edgecnn.verbs.folders import find_artifact

MODEL = find_artifact("cifar10-ds")


def told(order: Any) -> list[dict[str, Any]]:
    """What a session says to an order, which ends by itself."""
    command = [sys.executable, "-m", "edgecnn.edge", "camera"]
    session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(json.dumps(order) + "\n")
    session.stdin.flush()
    lines = [json.loads(line) for line in session.stdout]
    session.stdin.close()
    assert session.wait(30) == 0
    return lines


def test_frames_are_kept_over_there(tmp_path: Path) -> None:
    options = Options(source="fake://", view="none", frames=3, record=tmp_path / "kept")
    *results, end = told(to_json(Order(str(MODEL), options, tell_results=True)))
    assert [next(iter(line)) for line in results] == ["result"] * 3
    assert end["summary"]["results"] == 3
    assert len(list((tmp_path / "kept").glob("*/*.jpg"))) >= 1


def test_an_order_that_is_none_is_told() -> None:
    (end,) = told({"artifact": str(MODEL), "options": {"frames": "three"}, "tell_results": False})
    assert end["error"] == "UnusableFile"
    assert "options.frames" in end["message"]
