"""bench says what a bare loop says, and edge/ takes little memory: tools/bench_overhead, and faults that it must see.

The machine may be busy. Both sides take turns, so that it is busy for both; a round of bad luck (where a process's
memory happens to lie moves a median by a percent or two) is tried again with fresh processes, at the same limits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from tests.scripts import script

REPO = Path(__file__).parents[1]
TRIES = 4

tool = script("bench_overhead")
each_runtime = pytest.mark.parametrize("runtime", tool.FILES)


class Judged(Protocol):
    @property
    def passed(self) -> bool: ...


def one_of(measure: Callable[[], Judged]) -> None:
    """Measure until it passes, a few times at most."""
    found = []
    for _ in range(TRIES):
        found.append(measure())
        if found[-1].passed:
            return
    raise AssertionError("\n".join(map(str, found)))


def model(runtime: str) -> Path:
    return Path(tool.model_file("cifar10-ds", f"{tool.FILES[runtime]}-int8"))


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Processes started from now on run another edge/, in which a text is replaced; this one does not."""

    def plant(file: str, text: str, by: str) -> None:
        shutil.copytree(
            REPO / "edgecnn", tmp_path / "edgecnn", ignore=shutil.ignore_patterns("packaged", "__pycache__")
        )
        path = tmp_path / "edgecnn" / file
        content = path.read_text()
        assert content.count(text) == 1
        path.write_text(content.replace(text, by))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.chdir(tmp_path)  # where `python -m` looks first

    return plant


@pytest.mark.slow
@each_runtime
def test_bench_agrees_with_a_bare_loop(runtime: str) -> None:
    one_of(lambda: tool.agreement(runtime, model(runtime), 11))


@pytest.mark.slow
def test_a_slow_loop_is_seen(planted: Callable[[str, str, str], None]) -> None:
    """10 us more in each inference, by the clock and so on any machine; the fastest runtime takes 140 here."""
    spin = "            run(*arrays); end = clock() + 10_000\n            while clock() < end: pass\n"
    planted("edge/measure/timing.py", "            run(*arrays)\n", spin)
    found = tool.agreement("litert", model("litert"), 11)
    assert not found.passed, found
    assert found.ratio > 1


def test_the_loop_itself_takes_little() -> None:
    assert tool.overhead_us() < tool.MOST_OVERHEAD_US


@pytest.mark.slow
@each_runtime
def test_edge_takes_little_memory(runtime: str) -> None:
    one_of(lambda: tool.memory(runtime, model(runtime)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "by"),
    [
        ("edge/artifact.py", "import numpy as np\n", "import numpy as np\nkept = b'x' * 6_000_000\n"),
        ("edge/measure/timing.py", "import gc\n", "import gc\nkept = b'x' * 6_000_000\n"),
    ],
    ids=["an artifact", "bench's process"],
)
def test_a_fat_import_is_seen(planted: Callable[[str, str, str], None], file: str, text: str, by: str) -> None:
    planted(file, text, by)
    found = tool.memory("litert", model("litert"))
    assert not found.passed, found
