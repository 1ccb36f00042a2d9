"""bench as a whole, on the null runtime and on a packaged model; and what makes a row invalid."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.edge.measure.load import Load, between, read_counters
from edgecnn.edge.measure.process import Engine, Opened
from edgecnn.edge.runtimes import Reading, find_runtime
from edgecnn.errors import MissingExtra, UnusableFile, UsageError
from edgecnn.measuring.measurement import BenchRecord, Busy, Protocol, Row, Window, too_busy
from edgecnn.measuring.rows import make_row
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.turns import Entry, Measured
from edgecnn.records import read_json
from edgecnn.verbs.bench import bench
from tests.verbs.small_bench import MACHINE, null_model

PROTOCOL = Protocol(1.0)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def quick(*models: Path | str, **changed: Any) -> BenchRecord:
    return bench(models, **{"seconds": 0.1, "input_size": (8, 8), **changed})


def test_a_record_beside_its_plot() -> None:
    said: list[str] = []
    found = quick(null_model(Path("models")), threads=(1, 2), message=said.append)
    (path,) = Path("bench").glob("*.json")
    assert path.with_suffix(".png").is_file()
    assert read_json(BenchRecord, path) == found
    assert [row.threads for row in found.rows] == [1, 2]
    for row in found.rows:
        assert (row.model, row.target, row.runtime, row.precision) == ("model.null", "null", "null", None)
        assert 0 < row.min_us <= row.p50_us <= row.p90_us <= row.p99_us
        assert row.n == sum(window.n for window in row.windows)
        assert len(row.windows) + len(row.spoilt) >= found.protocol.windows_least
        assert len(row.windows) >= found.protocol.windows_least or not row.valid
        assert row.model_bytes == len('{"classes": 7}')
        assert row.arena_bytes == 8
        assert row.peak_rss_mib is not None
        assert 0 <= row.peak_rss_mib < 5
    assert found.machine.cores == os.cpu_count()
    assert {"edgecnn", "numpy", "python", "null"} == set(found.versions)
    assert any(str(path) in line for line in said)


def test_the_record_goes_where_it_is_told_or_into_the_models_run() -> None:
    run = Path("runs/small")
    model = null_model(run / "export/first/null-fp32")
    (run / "resolved.yaml").touch()
    quick(model)
    assert len([*(run / "bench").glob("*.json")]) == 1
    assert not Path("bench").exists()
    quick(model, null_model(Path("elsewhere")))
    assert len([*Path("bench").glob("*.json")]) == 1, "not all of them are in the run"
    quick(model, out=Path("mine.json"))
    assert Path("mine.json").is_file()
    assert Path("mine.png").is_file()


def test_without_matplotlib_there_is_no_plot_and_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.split(".")[0] == "matplotlib":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said: list[str] = []
    assert quick(null_model(Path("models")), message=said.append).rows
    assert "no plot: matplotlib is not installed; pip install 'edgecnn[train]'" in said
    assert not [*Path("bench").glob("*.png")]


@pytest.mark.slow
def test_every_runtime_that_reads_a_file_measures_it() -> None:
    found = bench("cifar10-ds", seconds=0.1, runtimes=("onnxruntime", "openvino"))
    assert sorted((row.target, row.precision, row.runtime) for row in found.rows) == [
        ("onnx", "fp32", "onnxruntime"),
        ("onnx", "fp32", "openvino"),
        ("onnx", "int8", "onnxruntime"),
        ("onnx", "int8", "openvino"),
        ("openvino", "fp32", "openvino"),
        ("openvino", "int8", "openvino"),
    ]
    for row in found.rows:
        assert row.arena_bytes is None
        assert any(note.startswith("no arena_bytes: ") for note in row.notes), "absent with its reason"
        assert row.top1 is not None
        assert row.peak_rss_mib is not None
        assert row.peak_rss_mib > 1


def test_runtimes_that_do_not_fit_are_named() -> None:
    with pytest.raises(UsageError, match="litert reads no null files; choose from null"):
        quick(null_model(Path("models")), runtimes=("litert",))
    with pytest.raises(UsageError, match="unknown runtime 'lite'; did you mean 'litert'"):
        quick(null_model(Path("models")), runtimes=("lite",))
    assert not Path("bench").exists()


def test_an_open_size_is_no_guess() -> None:
    with pytest.raises(UsageError, match="--input-size"):
        bench([null_model(Path("models"))], seconds=0.1)


def test_what_can_not_be_used_is_told_beside_what_can() -> None:
    bad = null_model(Path("models"), "bad.null", "{}")
    with pytest.raises(UnusableFile, match=r"bad\.null: is no null model"):
        quick(bad)
    assert not Path("bench").exists()
    found = quick(bad, null_model(Path("models")))
    assert len(found.rows) == 1
    (failed,) = found.unmeasured
    assert (failed.model, failed.engine_missing) == ("bad.null", False)
    assert "is no null model" in failed.reason


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the measuring process, which a device may be far away from."""
    blocked = tmp_path / "blocked/openvino"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('not installed')")
    monkeypatch.syspath_prepend(str(blocked.parent))
    with pytest.raises(MissingExtra, match=r"pip install 'edgecnn\[openvino\]'"):
        bench("cifar10-ds", seconds=0.1, runtimes=("openvino",))


# --- valid or not ----------------------------------------------------------------------------------------------------


def judged(load: Load, cores: int = 2, **changed: Any) -> Row:
    """The row of ten equal windows during each of which the machine did `load`."""
    subject = Subject("x", "null", None, Path("x.null"), {}, 100)
    measured = Measured(
        Entry(subject, find_runtime("null"), 1),
        Engine({}, dataclasses.replace(MACHINE, cores=cores), 30.0),
        Opened(1.0, 200.0, 100.0, Reading(None, "it does not tell")),
        [Window(1000, 100.0, 120.0)] * 10,
        [np.full(1000, 100_000)] * 10,
        [load] * 10,
        35.0,
    )
    return make_row(dataclasses.replace(measured, **changed), PROTOCOL)


@pytest.mark.parametrize(
    ("load", "valid", "said"),
    [
        (Load(1.0, 1.0, 0.01, 0.0, 0.001, 3), True, ""),
        (Load(1.0, 1.0, -0.02, 0.0, 0.0, 0), True, ""),
        (Load(1.0, 0.5, 1.5, 0.0, 0.0, 0), False, "other processes took 75 % of the machine's processor time"),
        (Load(1.0, 1.0, 0.21, 0.0, 0.0, 0), False, "other processes took"),
        (Load(1.0, 0.9, 0.0, 0.1, 0.0, 0), False, "the hypervisor gave 5 %"),
        (Load(1.0, 0.5, 0.0, 0.0, 0.5, 0), False, "it waited for a processor 50 % of the time"),
        (Load(1.0, 1.0, None, None, 0.001, None), True, ""),
        (Load(1.0, 1.0, None, None, None, None), False, "nothing says how busy the machine was"),
    ],
)
def test_valid(load: Load, valid: bool, said: str) -> None:
    row = judged(load)
    assert row.valid is valid
    assert bool(too_busy(row.busy, PROTOCOL)) is not valid
    if not valid:
        assert said in row.notes[0]


@pytest.mark.parametrize(("others_ticks", "valid"), [(2, True), (150, False)], ids=["idle", "busy"])
def test_valid_from_what_the_system_writes(others_ticks: int, valid: bool, tmp_path: Path) -> None:
    """Two readings of /proc, a second apart on two processors; this process itself did almost nothing meanwhile."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/schedstat").write_text("900 1000000 5\n")
    readings = []
    for number in range(2):
        ticks = number * others_ticks
        (tmp_path / "stat").write_text(f"cpu  {1000 + ticks} 0 0 {5000 + 200 * number - ticks} 0 0 0 0 0 0\n")
        readings.append(dataclasses.replace(read_counters(tmp_path), wall_s=float(number), own_s=0.0))
    assert judged(between(*readings)).valid is valid


def test_notes_say_what_a_reader_should_know() -> None:
    idle = Load(1.0, 1.0, 0.0, 0.0, 0.0, 0)
    assert judged(idle).notes == ("no arena_bytes: it does not tell",)
    row = judged(idle, peak_rss_mib=None, samples=[np.full(4, 1000)], windows=[Window(4, 1.0, 1.0)])
    assert row.peak_rss_mib is None
    assert any("no peak_rss_mib" in note for note in row.notes)
    assert any("p99_us of 4 inferences" in note for note in row.notes)
    assert any("not steady" in note for note in row.notes)


@contextmanager
def busy_machine() -> Iterator[None]:
    """Two busy processes for each processor."""
    code = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(code) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_under_load_on_all_cores_a_row_is_invalid() -> None:
    model = null_model(Path("models"))
    with busy_machine():
        (row,) = quick(model, seconds=1.0).rows
    assert not row.valid
    assert any(note.startswith("busy machine: ") for note in row.notes)
    assert row.busy.others is not None
    assert row.busy.others > 0.3
    assert json.loads(next(Path("bench").glob("*.json")).read_text())["rows"][0]["valid"] is False


def test_shares_are_of_all_processors() -> None:
    assert judged(Load(1.0, 1.0, 0.3, 0.0, 0.0, 0), cores=2).busy.others == pytest.approx(0.15)
    assert judged(Load(1.0, 1.0, 0.3, 0.0, 0.0, 0), cores=8).busy == Busy(pytest.approx(0.0375), 0.0, 0.0, 0.0)
