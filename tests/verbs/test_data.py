"""The data verb: records, not prints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from rich.console import Console

from edgecnn.cli import show
from edgecnn.data import DataSpec, open_dataset
from edgecnn.data.duplicates import NearDuplicate
from edgecnn.data.pictures import Broken
from edgecnn.data.sources import cifar10
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.recipe import Recipe
from edgecnn.records import to_json
from edgecnn.verbs import data
from edgecnn.verbs.pictures import data_spec
from tests.verbs.small_runs import edgecnn as command


@pytest.fixture(autouse=True)
def no_data_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGECNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def small_cifar10(folder: Path) -> None:
    """Each file with ten records, for a cifar10.RECORDS of ten."""
    folder.mkdir(parents=True)
    records = np.zeros((10, 3073), np.uint8)
    records[:, 0] = range(10)
    for file in (*cifar10.FILES["train"], *cifar10.FILES["test"]):
        records.tofile(folder / file)


def test_list(tmp_path: Path) -> None:
    rows = {row.name: row for row in data.list_sources(tmp_path).sources}
    assert rows["cifar10"].folder is None
    assert rows["cifar10_mini"].folder is not None
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin/data_batch_1.bin").touch()
    rows = {row.name: row for row in data.list_sources(tmp_path).sources}
    assert rows["cifar10"].folder == str(tmp_path / "cifar-10-batches-bin")


def test_get_downloads_only_what_is_not_there_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Path] = []

    def fetch(archive: object, target_dir: Path, progress: object) -> Path:
        fetched.append(target_dir)
        return target_dir / "cifar-10-batches-bin"

    monkeypatch.setattr(data, "fetch", fetch)
    monkeypatch.setattr(cifar10, "RECORDS", 10)
    folder = tmp_path / "cifar-10-batches-bin"
    assert data.get("cifar10", tmp_path) == data.DataGet("cifar10", str(folder), downloaded=True)
    small_cifar10(folder)
    assert data.get("cifar10", tmp_path) == data.DataGet("cifar10", str(folder), downloaded=False)
    assert data.get("cifar10").folder == str(tmp_path / "cache/edgecnn/cifar-10-batches-bin")
    (folder / "test_batch.bin").write_bytes(b"half")
    assert data.get("cifar10", tmp_path).downloaded
    assert fetched == [tmp_path, tmp_path / "cache/edgecnn", tmp_path]


def test_get_what_is_bundled_and_what_there_is_not() -> None:
    assert not data.get("cifar10_mini").downloaded
    with pytest.raises(UsageError, match="did you mean 'cifar10'"):
        data.get("cifar100")


def test_check_a_source() -> None:
    record = data.check(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop"))
    assert [(count.split, count.n) for count in record.splits] == [("train", 4500), ("val", 500), ("test", 1000)]
    assert record.splits[2].per_class["cat"] == 100
    assert record.broken == ()


def test_check_folders_lists_every_broken_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, count in (("train", 10), ("test", 3)):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (30, 20), (i, i, i)).save(tmp_path / split / label / f"{i}.png")
    (tmp_path / "train/cat/4.png").write_bytes((tmp_path / "train/cat/4.png").read_bytes()[:50])
    (tmp_path / "test/dog/0.png").write_text("text")
    (tmp_path / "test/dog/readme.md").write_text("text")
    record = data.check(DataSpec(None, str(tmp_path), 0.1, 32, 32, "crop"))
    assert [(count.split, count.n, count.per_class) for count in record.splits] == [
        ("train", 18, {"cat": 9, "dog": 9}),
        ("val", 2, {"cat": 1, "dog": 1}),
        ("test", 6, {"cat": 3, "dog": 3}),
    ]
    assert [broken.name for broken in record.broken] == ["train/cat/4.png", "test/dog/0.png"]
    assert "truncated" in record.broken[0].reason
    assert "unknown type of file" in record.broken[1].reason
    assert len(record.notes) == 1
    assert json.loads(json.dumps(to_json(record)))["schema"] == "edgecnn.data/1"
    assert capsys.readouterr().out == ""


def test_people_read_which_pictures_are_broken_or_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tuple(
        NearDuplicate("train", f"train/{i}", "cat", "test", f"test/{i}", "cat" if i else "dog", i == 1, i / 100)
        for i in range(12)
    )
    record = data.DataCheck("pets", ("cat", "dog"), (), (Broken("train/cat/4.png", "it is empty"),), pairs, ("so",))
    console = Console(width=60, highlight=False)
    show.checked(console, record)
    lines = capsys.readouterr().out.splitlines()
    assert "broken: train/cat/4.png: it is empty" in lines
    assert "12 near-duplicates across splits: train/test 12, 1 of them with different classes" in lines
    assert "train train/0 ~ test test/0, 0.00 apart; different classes: cat and dog" in lines
    assert "train train/1 ~ test test/1, 0.01 apart, mirrored" in lines
    assert sum(" ~ " in line for line in lines) == 10
    assert "and 2 more: --json lists them all" in lines


def pictures_of(folder: Path, count: int, seed: int) -> None:
    """Textures in two classes that have nothing in common."""
    for c, label in enumerate(("cat", "dog")):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            noise = np.random.default_rng([seed, c, i]).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(noise).resize((40, 30), Image.Resampling.BICUBIC).save(folder / label / f"{i}.png")


def test_check_finds_what_is_in_two_splits(tmp_path: Path) -> None:
    pictures_of(tmp_path / "train", 20, 0)
    pictures_of(tmp_path / "test", 5, 1)
    spec = DataSpec(None, str(tmp_path), 0.1, 32, 32, "crop")
    assert data.check(spec).near_duplicates == ()
    in_train, in_val = open_dataset(spec).load("train").names[0], open_dataset(spec).load("val").names[0]
    picture = Image.open(tmp_path / in_val)
    picture.resize((60, 45)).save(tmp_path / in_train)
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "test/dog/4.png")
    found = data.check(spec).near_duplicates
    assert [(pair.split_a, pair.name_a, pair.split_b, pair.name_b, pair.mirrored) for pair in found] == [
        ("train", in_train, "val", in_val, False),
        ("train", in_train, "test", "test/dog/4.png", True),
        ("val", in_val, "test", "test/dog/4.png", True),
    ]
    assert [(pair.label_a, pair.label_b) for pair in found] == [("cat", "cat"), ("cat", "dog"), ("cat", "dog")]


def test_check_reads_val_that_is_test_too_once(tmp_path: Path) -> None:
    pictures_of(tmp_path / "train", 5, 0)
    pictures_of(tmp_path / "val", 5, 1)
    (tmp_path / "val/dog/0.png").write_bytes(b"")
    record = data.check(DataSpec(None, str(tmp_path), 0.1, 32, 32, "crop"))
    assert [(count.split, count.n) for count in record.splits] == [("train", 10), ("val", 10), ("test", 10)]
    assert [broken.name for broken in record.broken] == ["val/dog/0.png"]
    assert record.near_duplicates == ()


def test_check_of_a_folder_that_nobody_split(tmp_path: Path) -> None:
    pictures_of(tmp_path / "photos", 3, 0)
    (tmp_path / "photos/dog/1.png").write_bytes(b"")
    left = command("data", "check", tmp_path / "photos")
    assert left.code == 3
    lines = left.out.splitlines()
    assert lines[1:5] == ["class   all", "cat       3", "dog       3", "in all    6"]
    assert "broken: dog/1.png: the file is empty; get it anew" in lines
    assert any(line.startswith("nobody has split it: `edgecnn new`") for line in lines)
    assert "1 picture can't be used" in lines
    shutil.rmtree(tmp_path / "photos/cat")
    assert command("data", "check", tmp_path / "photos", "--json").code == 3
    assert "correct the folder's name" in command("data", "check", tmp_path / "nowhere").err


def test_check_says_where_decoded_pictures_are_kept(tmp_path: Path) -> None:
    pictures_of(tmp_path / "set/train", 5, 0)
    spec = DataSpec(None, str(tmp_path / "set"), 0.2, 32, 32, "crop", cache="disk")
    assert data.check(spec).notes == ()
    open_dataset(spec).load("train")
    (note,) = data.check(spec).notes
    assert str(tmp_path / "cache/edgecnn/decoded") in note


def test_a_recipe_says_which_pictures_and_what_becomes_of_broken_ones() -> None:
    model = {"arch": "ds_cnn"}
    recipe = Recipe.model_validate(
        {"name": "a", "data": {"folder": "a", "broken": "skip", "cache": "disk"}, "model": model}
    )
    assert data_spec(recipe) == DataSpec(None, "a", 0.1, 32, 32, "crop", broken="skip", cache="disk")
    listed = {"folder": "a", "splits": "a.csv", "background": "b"}
    recipe = Recipe.model_validate({"name": "a", "data": listed, "model": model})
    assert data_spec(recipe) == DataSpec(None, "a", 0.1, 32, 32, "crop", splits="a.csv", background="b")
    plain = Recipe.model_validate({"name": "a", "data": {"folder": "a"}, "model": model})
    assert data_spec(plain) == DataSpec(None, "a", 0.1, 32, 32, "crop", broken="refuse", cache="auto")
    with pytest.raises(ValidationError, match="'broken: skip' goes with 'folder'"):
        Recipe.model_validate({"name": "a", "data": {"source": "cifar10", "broken": "skip"}, "model": model})
    with pytest.raises(ValidationError, match="'splits' goes with 'folder'"):
        Recipe.model_validate({"name": "a", "data": {"source": "cifar10", "splits": "a.csv"}, "model": model})
    with pytest.raises(ValidationError, match="'background' goes with 'splits'"):
        Recipe.model_validate({"name": "a", "data": {"folder": "a", "background": "b"}, "model": model})


def test_check_of_one_class(tmp_path: Path) -> None:
    pictures_of(tmp_path, 2, 0)
    shutil.rmtree(tmp_path / "dog")
    record = data.check(DataSpec(None, str(tmp_path), 0.1, 32, 32, "crop"))
    assert record.notes == (f"{tmp_path} has one class only, 'cat': training needs two",)


def test_an_empty_name_is_not_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell's variable that nobody set."""
    monkeypatch.chdir(tmp_path)
    pictures_of(tmp_path, 2, 0)
    for arguments in (
        ("data", "check", ""),
        ("predict", "cifar10-ds", ""),
        ("verify", "cifar10-ds", "--images", ""),
        ("new", ""),
        ("new", ".", "--out", ""),
    ):
        left = command(*arguments)
        assert left.code == 2, arguments
        assert "an empty name is no" in left.err


def test_check_of_what_is_unusable_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "train/cat").mkdir(parents=True)
    with pytest.raises(UnusableFile, match="needs at least two classes"):
        data.check(DataSpec(None, str(tmp_path), 0.1, 32, 32, "crop"))
