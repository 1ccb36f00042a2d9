"""tools/soak_camera: five minutes of it here, and a leak that it must see."""

from __future__ import annotations

from typing import Any

import pytest

from edgecnn.edge.camera.live import Result
from tests.scripts import script


@pytest.fixture
def soak() -> Any:
    return script("soak_camera")


@pytest.mark.slow
@pytest.mark.long
def test_five_minutes_take_no_memory(soak: Any, capsys: pytest.CaptureFixture[str]) -> None:
    passed = soak.memory(5.0) or soak.memory(5.0)  # once more: a leak is there again, what a busy machine does is not
    said = capsys.readouterr().out
    with capsys.disabled():
        print(f"\n{said}")
    assert passed, said


@pytest.mark.slow
@pytest.mark.long
def test_a_kilobyte_an_answer_is_seen(soak: Any, capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[bytearray] = []

    def leak(result: Result) -> None:
        kept.append(bytearray(1024))

    assert not soak.memory(0.4, leak)
    assert "FAILED" in capsys.readouterr().out
