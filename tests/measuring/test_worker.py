"""A measuring process that works, and ones that die, hang and talk nonsense: one sentence each, and in time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edgecnn import packaged
from edgecnn.edge.artifact import load
from edgecnn.edge.measure.process import Open
from edgecnn.errors import DeviceError, UnusableFile, UsageError
from edgecnn.measuring import place as places
from edgecnn.measuring.worker import Worker
from tests.verbs.small_bench import null_model

FILE = Path("model.tflite")


def opening(path: Path, size: tuple[int, int] | None = (8, 8)) -> Open:
    return Open(str(path), 1, size, 0.0, 3)


def test_a_model_is_opened_and_timed(tmp_path: Path) -> None:
    path = null_model(tmp_path)
    with Worker(path) as worker:
        engine = worker.load_engine("null")
        assert {"null", "numpy", "python"} == set(engine.versions)
        assert engine.peak_rss_mib is not None
        opened = worker.open(opening(path), 30)
        assert 0 < opened.fastest_us < 1e6
        assert opened.first_us >= opened.fastest_us
        assert opened.arena.value == 8
        for count in (1, 100, 8192):
            turn, samples = worker.window(count, 60)
            assert samples.shape == (count,)
            assert (samples > 0).all()
            assert turn.load.wall_s >= samples.sum() / 1e9
            assert turn.peak_rss_mib is not None
            assert engine.peak_rss_mib <= turn.peak_rss_mib < engine.peak_rss_mib + 10
        assert np.median(samples) / 1e3 < 1000


def test_what_edgecnn_has_against_a_file_comes_back(tmp_path: Path) -> None:
    with Worker(FILE) as worker:
        worker.load_engine("null")
        with pytest.raises(UnusableFile, match="is no null model"):
            worker.open(opening(null_model(tmp_path, text="{}")), 30)
        with pytest.raises(UsageError, match="--input-size"):
            worker.open(opening(null_model(tmp_path), None), 30)


def speaking(code: str, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A process that is something else."""
    monkeypatch.setattr(places, "command", lambda *words: ["python3", "-c", f"import os, sys, time\n{code}"])
    return Worker(FILE)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.stdin.readline(); os.kill(os.getpid(), 11)", r"an engine died of it \(SIGSEGV\)"),
        ("sys.stdin.readline(); raise ValueError('flatbuffer too short')", "ValueError: flatbuffer too short"),
        ("sys.stdin.close(); os._exit(3)", r"an engine died of it \(exit code 3\)"),
        ("sys.stdin.readline(); print('half a line', end='', flush=True); os._exit(0)", "an engine died of it"),
        ("sys.stdin.readline(); print('{]', flush=True); time.sleep(60)", "an engine went astray on it"),
        ("time.sleep(60)", "did not get through with it in time; .* a larger --seconds"),
    ],
)
def test_its_death_is_the_files_fault(code: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with speaking(code, monkeypatch) as worker, pytest.raises(UnusableFile, match=rf"model\.tflite: .*{said}"):
        worker.open(opening(FILE), 3)
    assert time.monotonic() - began < 10


def test_an_engine_that_does_not_load_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        speaking("sys.stdin.readline(); os.abort()", monkeypatch) as worker,
        pytest.raises(DeviceError, match=r"litert can't be loaded there: .*SIGABRT"),
    ):
        worker.load_engine("litert")


def test_closing_ends_it_whatever_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = speaking("time.sleep(600)", monkeypatch)
    began = time.monotonic()
    worker.close()
    worker.close()
    assert time.monotonic() - began < 5


def test_pictures_are_answered_as_the_file_does_here() -> None:
    folder = packaged.folder("models") / "cifar10-ds" / "tflite-int8"
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    with Worker(folder / "model.tflite") as worker:
        worker.load_engine("litert")
        worker.open(opening(folder / "model.tflite"), 30)
        found = worker.classify(images, 30)
    expected = load(folder).raw(images)
    assert found.dtype == expected.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
