"""A child process answers, refuses, dies and hangs; its parent says so in one sentence."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgecnn.edge.child import MEMORY, MEMORY_PER_BYTE, alive, in_child
from edgecnn.errors import UnusableFile, UsageError

FILE = Path("model.tflite")


def answers(request: Mapping[str, Any]) -> Any:
    print("an engine's greeting")
    return {"twice": 2 * request["number"]}


def refuses(request: Mapping[str, Any]) -> Any:
    raise UsageError("that is no number")


def dies(request: Mapping[str, Any]) -> Any:
    os.kill(os.getpid(), signal.SIGSEGV)


def fails(request: Mapping[str, Any]) -> Any:
    raise ValueError("flatbuffer too short")


def works_long(request: Mapping[str, Any]) -> Any:
    for _ in range(8):
        time.sleep(0.25)
        alive()
    return "done"


def allocates(request: Mapping[str, Any]) -> Any:
    return len(bytearray(request["bytes"]))


def wants(request: Mapping[str, Any]) -> Any:
    raise ModuleNotFoundError("no module named 'sold_apart'", name="sold_apart")


def hangs(request: Mapping[str, Any]) -> Any:
    time.sleep(60)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest imports this file without making it importable by its name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for work in (answers, refuses, dies, fails, hangs, works_long, allocates, wants):
        monkeypatch.setattr(work, "__module__", "test_child")


def test_it_answers_whatever_else_is_printed() -> None:
    assert in_child(answers, {"number": 21}, FILE, 30) == {"twice": 42}


def test_its_own_errors_come_back() -> None:
    with pytest.raises(UsageError, match="that is no number"):
        in_child(refuses, {}, FILE, 30)


def test_its_death_is_the_files_fault() -> None:
    with pytest.raises(UnusableFile, match=r"model\.tflite: can't be used, an engine died of it \(SIGSEGV\)"):
        in_child(dies, {}, FILE, 30)


def test_an_engines_exception_is_the_files_fault() -> None:
    with pytest.raises(UnusableFile, match="flatbuffer too short"):
        in_child(fails, {}, FILE, 30)


def test_it_does_not_wait_for_ever() -> None:
    started = time.monotonic()
    with pytest.raises(UnusableFile, match="did not get through with it in 1 s"):
        in_child(hangs, {}, FILE, 1)
    assert time.monotonic() - started < 5


def test_it_waits_for_what_gives_signs_of_life() -> None:
    assert in_child(works_long, {}, FILE, 1) == "done"


def test_memory_is_bounded_by_the_files_size() -> None:
    wanted = {"bytes": MEMORY + (64 << 20), "path": str(FILE)}
    with pytest.raises(UnusableFile, match=r"model\.tflite: asks for too much memory"):
        in_child(allocates, wanted, FILE, 30, size=0)
    assert in_child(allocates, {"bytes": 64 << 20}, FILE, 30, size=0) == 64 << 20
    assert in_child(allocates, wanted, FILE, 30, size=(512 << 20) // MEMORY_PER_BYTE) == wanted["bytes"]


def test_a_library_that_is_missing_there_is_named_here() -> None:
    with pytest.raises(ModuleNotFoundError, match="sold_apart") as raised:
        in_child(wants, {}, FILE, 30)
    assert raised.value.name == "sold_apart"


def test_its_engine_is_imported_before_time_is_counted() -> None:
    assert in_child(answers, {"number": 1}, FILE, 5, runtime="null") == {"twice": 2}
