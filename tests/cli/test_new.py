"""edgecnn new at the command line: what people read, exit codes, and training on what it wrote from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn.cli import progress
from edgecnn.recipe import load_recipe
from edgecnn.verbs.folders import read_export
from tests.data.photos import photos, plant_bursts, plant_copies
from tests.verbs.small_runs import PINNED, edgecnn


def test_what_people_read() -> None:
    photos(Path("photos"))
    plant_copies(Path("photos"), "cat", range(3))
    plant_bursts(Path("photos"), "ship", 7)
    Path("photos/truck/003.png").write_bytes(b"")
    left = edgecnn("new", "photos")
    assert left.code == 0
    assert left.err == ""
    lines = left.out.splitlines()
    assert lines[0].split() == ["class", "train", "val", "test"]
    assert [line.split()[0] for line in lines[1:5]] == ["cat", "ship", "truck", "in"]
    sums = [sum(int(line.split()[column]) for line in lines[1:4]) for column in (1, 2, 3)]
    assert lines[4].split() == ["in", "all", *map(str, sums)]
    assert sum(sums) == 96
    assert "broken, left out: truck/003.png: the file is empty; get it anew" in lines
    assert "7 bursts of 28 shots in all, each in one split" in lines
    assert sum(line.startswith("  4 shots in ") for line in lines) == 5
    assert "  and 2 more: --json lists them all" in lines
    assert any("near-duplicates, each pair in one split" in line for line in lines)
    assert any("wrote photos.yaml and photos.splits.csv: 32x32 pixels, crop" in line for line in lines)
    assert lines[-4:] == [
        "  edgecnn train photos.yaml",
        "  edgecnn export --int8",
        "  edgecnn verify",
        "  edgecnn camera",
    ]


def test_json_and_quiet() -> None:
    photos(Path("my photos"), 10)
    left = edgecnn("new", "my photos", "--json", "-q", "--out", "a b.yaml")
    assert left.err == ""
    made = json.loads(left.out)
    assert made["schema"] == "edgecnn.new/1"
    assert (made["recipe"], made["splits"]) == ("a b.yaml", "a b.splits.csv")
    assert made["classes"]["cat"] == {"train": 6, "val": 2, "test": 2}
    assert made["next"][0] == "edgecnn train 'a b.yaml'"


def test_a_folder_is_no_recipe() -> None:
    photos(Path("photos"), 10)
    left = edgecnn("train", "photos")
    assert left.code == 3
    assert "photos: is a folder, neither a recipe nor a run; `edgecnn new photos` writes a recipe" in left.err


def test_exit_codes() -> None:
    assert edgecnn("new", "nowhere").code == 3
    photos(Path("photos"), 10)
    assert edgecnn("new", "photos", "--background", "nowhere").code == 3
    assert edgecnn("new", "photos", "--out", "photos.txt").code == 2
    assert edgecnn("new", "photos").code == 0
    again = edgecnn("new", "photos")
    assert again.code == 2
    assert again.err == "error: photos.yaml: exists already; choose another --out, or replace it with --force\n"
    assert edgecnn("new", "photos", "--force").code == 0


def test_data_check_of_the_recipe() -> None:
    photos(Path("photos"), 10)
    edgecnn("new", "photos")
    left = edgecnn("data", "check", "photos.yaml", "--json")
    assert left.code == 0
    assert [(row["split"], row["n"]) for row in json.loads(left.out)["splits"]] == [
        ("train", 18),
        ("val", 6),
        ("test", 6),
    ]
    whole = json.loads(edgecnn("data", "check", "photos", "--json").out)
    assert [(row["split"], row["n"]) for row in whole["splits"]] == [("all", 30)]


@pytest.mark.slow
def test_a_run_goes_on_wherever_it_is_called_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run folder says absolutely where its pictures are and holds their list; the export says where both are."""
    photos(Path("photos"), 10)
    edgecnn("new", "photos")
    pinned = [f"train.{setting.replace(': ', '=')}" for setting in PINNED.split(", ")]
    left = edgecnn("train", "photos.yaml", "train.epochs=1", *pinned, "--json")
    assert left.code == 0, left.err
    run = Path(json.loads(left.out)["run"]).resolve()
    data = load_recipe(run / "resolved.yaml").data
    assert data.folder == str(Path("photos").resolve())
    assert data.splits == "splits.csv", "its own copy, beside resolved.yaml"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert edgecnn("train", run).code == 0
    left = edgecnn("export", run, "--target", "tflite", "--int8", "--out", "export")
    assert left.code == 0, left.err
    assert read_export(Path("export")).data.splits == str(run / "splits.csv")  # type: ignore[union-attr]
    evaluated = json.loads(edgecnn("eval", run, "--json").out)
    assert (evaluated["split"], evaluated["n"]) == ("test", 6)


def test_how_far_it_is_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    photos(Path("photos"), 10)
    left = edgecnn("new", "photos")
    assert left.err.splitlines() == [f"looking at pictures: {done} of 30" for done in range(1, 31)]
    assert edgecnn("new", "photos", "--force", "-q").err == ""
