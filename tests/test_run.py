"""Run folders: their names, and which one is meant."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgecnn.errors import OutOfResources, UnusableFile, UsageError
from edgecnn.run import Run, is_run, new_run, newest_run, open_run


def finished(root: Path, name: str, at: int) -> Run:
    """A run whose best checkpoint was written at a time."""
    run = new_run(name, "", "", root)
    state = run.checkpoints / "best/state.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    os.utime(state, (at, at))
    return run


def exported(run: Run, name: str, at: int) -> Path:
    folder = run.exports / name
    folder.mkdir(parents=True)
    (folder / "export.json").write_text("{}")
    os.utime(folder / "export.json", (at, at))
    return folder


def test_names_are_counted_up(tmp_path: Path) -> None:
    root = tmp_path / "deep/runs"
    names = [new_run("net", f"recipe {i}", f"resolved {i}", root).path.name for i in range(4)]
    assert names == ["net", "net-2", "net-3", "net-4"]
    assert new_run("net-2", "", "", root).path.name == "net-2-2"
    assert (root / "net-3/recipe.yaml").read_text() == "recipe 2"
    assert (root / "net-3/resolved.yaml").read_text() == "resolved 2"


def test_a_file_in_the_way_is_counted_over(tmp_path: Path) -> None:
    (tmp_path / "net").write_text("a file")
    assert new_run("net", "", "", tmp_path).path.name == "net-2"


def test_a_run_folder_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        if path.name == "resolved.yaml":
            raise OutOfResources(f"{path}: the disk is full")
        path.write_bytes(content)

    monkeypatch.setattr("edgecnn.run.write_whole", full)
    with pytest.raises(OutOfResources):
        new_run("net", "", "", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_is_by_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run with a finished checkpoint; `edgecnn train RECIPE`"):
        newest_run(tmp_path)
    finished(tmp_path, "a", at=2000)
    finished(tmp_path, "b", at=1000)
    new_run("c", "", "", tmp_path)
    assert newest_run(tmp_path).path == tmp_path / "a", "c has no checkpoint, b is older"
    assert finished(tmp_path, "a", at=3000) == newest_run(tmp_path) == Run(tmp_path / "a-2")


def test_the_newest_export_is_by_its_record(tmp_path: Path) -> None:
    run = finished(tmp_path, "net", at=1000)
    with pytest.raises(UnusableFile, match="nothing was exported yet; `edgecnn export"):
        run.newest_export()
    exported(run, "z", at=1000)
    newest = exported(run, "a", at=2000)
    (run.exports / ".half").mkdir()
    (run.exports / "empty").mkdir()
    assert run.newest_export() == newest
    assert exported(run, "b", at=2000) == run.newest_export(), "of two at the same time, the last by name"


def test_best_needs_a_finished_epoch(tmp_path: Path) -> None:
    run = new_run("net", "", "", tmp_path)
    with pytest.raises(UnusableFile, match=r"no finished checkpoint yet; `edgecnn train .*net` makes one"):
        run.best()
    assert finished(tmp_path, "other", at=1).best() == tmp_path / "other/checkpoints/best"


def test_what_is_a_run(tmp_path: Path) -> None:
    run = new_run("net", "", "", tmp_path)
    assert is_run(run.path)
    assert not is_run(tmp_path)
    assert not is_run(tmp_path / "gone")
    assert open_run(run.path) == run
    with pytest.raises(UsageError, match="is not a run folder"):
        open_run(tmp_path)


def test_metrics_are_lines_and_a_cut_one_is_left_out(tmp_path: Path) -> None:
    run = new_run("net", "", "", tmp_path)
    assert run.metrics.read() == []
    for epoch in (1, 2, 3):
        run.metrics.add([{"epoch": epoch, "val_top1": epoch / 4}])
    with run.metrics.path.open("a") as file:
        file.write('{"epoch": 4, "val')
    assert [line["epoch"] for line in run.metrics.read()] == [1, 2, 3]
    run.metrics.keep(2)
    run.metrics.add([{"epoch": 3}])
    assert [json.loads(line)["epoch"] for line in run.metrics.path.read_text().splitlines()] == [1, 2, 3]
    assert sorted(path.name for path in run.path.iterdir()) == ["metrics.jsonl", "recipe.yaml", "resolved.yaml"]
