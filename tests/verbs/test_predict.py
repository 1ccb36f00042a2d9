"""edgecnn predict: of files and folders, of which some can't be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn.errors import UnusableFile
from edgecnn.verbs.predict import predict
from tests.data.photos import photos
from tests.verbs.small_runs import edgecnn


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(Path("photos"), 2, ("cat", "ship"))


def test_a_folder_is_all_its_pictures() -> None:
    left = edgecnn("predict", "cifar10-ds", "photos/ship/001.png", "photos", "--json")
    assert left.code == 0
    shown = [found["image"].removeprefix("photos/") for found in json.loads(left.out)]
    assert shown == ["ship/001.png", "cat/000.png", "cat/001.png", "ship/000.png", "ship/001.png"]


def test_one_of_many_that_is_broken_costs_no_other() -> None:
    Path("photos/cat/001.png").write_bytes(b"")
    left = edgecnn("predict", "cifar10-ds", "photos", "nowhere.jpg", "--json")
    assert left.code == 3
    assert [found["image"][7:] for found in json.loads(left.out)] == ["cat/000.png", "ship/000.png", "ship/001.png"]
    assert "left out: nowhere.jpg: can't be read (No such file or directory)" in left.err
    assert "error: 2 pictures can't be used, the first: photos/cat/001.png: the file is empty" in left.err
    with pytest.raises(UnusableFile, match="the file is empty"):
        predict("cifar10-ds", ["photos"])


def test_one_that_is_broken_is_an_error_and_nothing_else() -> None:
    left = edgecnn("predict", "cifar10-ds", "nowhere.jpg", "--json")
    assert (left.code, left.out) == (3, "")
    assert left.err == "error: nowhere.jpg: can't be read (No such file or directory)\n"


def test_a_folder_without_pictures_costs_no_other_answer() -> None:
    Path("empty").mkdir()
    left = edgecnn("predict", "cifar10-ds", "empty")
    assert (left.code, left.out) == (3, "")
    assert "empty: is a folder without pictures (" in left.err
    left = edgecnn("predict", "cifar10-ds", "empty", "photos", "--json")
    assert left.code == 3
    assert len(json.loads(left.out)) == 4
    with pytest.raises(UnusableFile, match="empty: is a folder"):
        predict("cifar10-ds", ["empty"])


def test_pictures_of_another_kind_are_named() -> None:
    for name in ("a.heic", "b.HEIC", "notes.txt"):
        Path("photos/cat", name).touch()
    left = edgecnn("predict", "cifar10-ds", "photos/cat", "--json")
    assert left.code == 3
    assert len(json.loads(left.out)) == 2
    assert "passed over 3 files of other types (2 .heic, 1 .txt)" in left.err
