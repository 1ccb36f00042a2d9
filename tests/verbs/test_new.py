"""edgecnn new: its recipe opens what it listed, planted copies and bursts are told, and nothing is replaced unasked."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgecnn
from edgecnn import new
from edgecnn.data import SPLITS, open_dataset
from edgecnn.data.listed import read_rows
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.recipe import load_recipe
from edgecnn.records import to_json
from edgecnn.run import Run
from edgecnn.verbs.data import check, spec_of
from edgecnn.verbs.pictures import data_spec
from edgecnn.verbs.recipes import located, recipe_of
from tests.data.photos import CLASSES, COPIES, photos, plant_bursts, plant_copies, real, write
from tests.verbs.small_runs import edgecnn as command


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no data sets elsewhere."""
    monkeypatch.delenv("EDGECNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_photos_become_a_recipe(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(photos(here / "photos"))
    record = new("photos")
    assert (record.recipe, record.splits) == (Path("photos.yaml"), Path("photos.splits.csv"))
    assert record.classes == {label: {"train": 10, "val": 5, "test": 5} for label in CLASSES}
    assert record.next[0] == "edgecnn train photos.yaml"
    assert (record.broken, record.bursts, record.notes) == ((), (), ())
    assert content(here / "photos") == before, "pictures are left as they are"
    assert json.loads(json.dumps(to_json(record)))["schema"] == "edgecnn.new/1"
    assert capsys.readouterr() == ("", "")

    recipe = load_recipe(record.recipe)
    assert (recipe.data.folder, recipe.data.splits) == ("photos", "photos.splits.csv")
    dataset = open_dataset(data_spec(recipe))
    assert dataset.labels == CLASSES
    for split in SPLITS:
        loaded = dataset.load(split)
        counts = np.bincount(loaded.classes).tolist()
        assert counts == [record.classes[label][split] for label in CLASSES]


def test_two_times_the_same_bytes(here: Path) -> None:
    photos(here / "photos")
    new("photos")
    before = content(here)
    new("photos", force=True)
    assert content(here) == before


def test_planted_copies_and_bursts_are_told_and_on_one_side(here: Path) -> None:
    photos(here / "photos")
    copies = plant_copies(here / "photos", "cat", range(5))
    bursts = plant_bursts(here / "photos", "ship", 3)
    write(here / "photos/truck/copy.jpg", COPIES[0](real("cat")[0]))
    record = new("photos")
    split_of = {row.path: row.split for row in read_rows(here / "photos.splits.csv")}
    for names in [*copies, *bursts]:
        assert len({split_of[name] for name in names}) == 1
    assert [set(burst.names) for burst in record.bursts] == bursts
    assert all(burst.splits == (split_of[burst.names[0]],) for burst in record.bursts)
    pairs = {(pair.name_a, pair.name_b) for pair in record.duplicates}
    assert ("cat/000.png", "truck/copy.jpg") in pairs
    assert all(pair.split_a == pair.split_b == split_of[pair.name_a] for pair in record.duplicates)
    grouped = [row for row in read_rows(here / "photos.splits.csv") if row.group]
    assert {row.path for row in grouped} >= set().union(*copies, *bursts)
    for row in grouped:
        assert {other.split for other in grouped if other.group == row.group} == {row.split}
    assert check(spec_of("photos.yaml")).near_duplicates == ()


def test_broken_pictures_are_told_and_not_listed(here: Path) -> None:
    photos(here / "photos")
    (here / "photos/cat/003.png").write_bytes(b"text")
    whole = (here / "photos/ship/004.png").read_bytes()
    (here / "photos/ship/004.png").write_bytes(whole[:300])
    record = new("photos")
    assert [broken.name for broken in record.broken] == ["cat/003.png", "ship/004.png"]
    assert "truncated" in record.broken[1].reason
    listed = {row.path for row in read_rows(here / "photos.splits.csv")}
    assert len(listed) == 58
    assert not listed & {"cat/003.png", "ship/004.png"}
    assert len(open_dataset(data_spec(load_recipe(record.recipe))).load("train")) == sum(
        counts["train"] for counts in record.classes.values()
    )


def test_too_few_because_they_are_broken(here: Path) -> None:
    photos(here / "photos", 10)
    (here / "photos/cat/003.png").write_bytes(b"text")
    with pytest.raises(
        UnusableFile, match=r"cat has 9, and .*; 1 other can't be read, the first of them cat/003.png: "
    ):
        new("photos")
    assert os.listdir(here) == ["photos"]


def test_a_background_from_elsewhere(here: Path) -> None:
    photos(here / "photos")
    photos(here / "others", 8, ("frog", "deer"))
    record = new("photos", background="others")
    assert record.classes["background"] == {"train": 8, "val": 4, "test": 4}
    recipe = load_recipe(record.recipe)
    assert recipe.data.background == "others"
    dataset = open_dataset(data_spec(recipe))
    assert dataset.labels == ("background", *CLASSES)
    for split in SPLITS:
        loaded = dataset.load(split)
        assert sum(name.startswith("background/") for name in loaded.names) == record.classes["background"][split]


def test_a_class_named_background_is_one(here: Path) -> None:
    photos(here / "photos")
    (here / "photos/ship").rename(here / "photos/background")
    record = new("photos")
    assert set(record.classes) == {"background", "cat", "truck"}
    recipe = load_recipe(record.recipe)
    assert recipe.data.background is None
    assert open_dataset(data_spec(recipe)).labels == ("background", "cat", "truck")


def split_folders(root: Path, **counts: int) -> Path:
    first = 0
    for split, count in counts.items():
        for label in CLASSES:
            for number in range(first, first + count):
                write(root / split / label / f"{number:03}.png", real(label)[number])
        first += count
    return root


def test_folders_that_are_split_are_kept(here: Path) -> None:
    split_folders(here / "photos", train=12, val=4, test=5)
    write(here / "photos/test/cat/copy.jpg", COPIES[0](real("cat")[0]))
    for split, second in (("train", 1), ("train", 2), ("test", 3), ("train", 8), ("train", 9)):
        write(here / f"photos/{split}/ship/20261125-12000{second}.jpg", real("ship")[60 + second])
    (here / "photos/train/cat/005.png").write_bytes(b"")
    record = new("photos")
    assert record.splits is None
    assert record.classes["cat"] == {"train": 11, "val": 4, "test": 6}
    assert record.classes["ship"] == {"train": 16, "val": 4, "test": 6}
    (burst,) = record.bursts
    assert burst.splits == ("train", "test")
    assert [name[-5] for name in burst.names] == ["1", "2", "3"], "the other burst is in train alone"
    found = {(pair.split_a, pair.name_a, pair.split_b, pair.name_b) for pair in record.duplicates}
    assert ("train", "train/cat/000.png", "test", "test/cat/copy.jpg") in found
    recipe = load_recipe(record.recipe)
    assert (recipe.data.folder, recipe.data.splits, recipe.data.broken) == ("photos", None, "skip")
    assert len(open_dataset(data_spec(recipe)).load("train")) == 39


def test_split_folders_with_a_background_are_listed_as_they_are(here: Path) -> None:
    split_folders(here / "photos", train=12, test=5)
    photos(here / "others", 10, ("frog",))
    record = new("photos", background="others")
    assert record.classes["background"] == {"train": 6, "val": 2, "test": 2}
    assert record.classes["cat"] == {"train": 11, "val": 1, "test": 5}
    dataset = open_dataset(data_spec(load_recipe(record.recipe)))
    test = dataset.load("test")
    assert {name for name in test.names if not name.startswith("background/")} == {
        f"test/{label}/{number:03}.png" for label in CLASSES for number in range(12, 17)
    }


def test_split_folders_without_test(here: Path) -> None:
    split_folders(here / "photos", train=12, val=4)
    photos(here / "others", 10, ("frog",))
    record = new("photos")
    assert record.classes["cat"] == {"train": 12, "val": 4, "test": 0}
    assert any("has val/ but no test/" in note for note in record.notes)
    shutil.rmtree(here / "photos/val")
    assert any("`edgecnn verify` wants pictures" in note for note in new("photos", out="b.yaml").notes)
    (here / "b.yaml").unlink()
    with pytest.raises(UsageError, match="--background needs one"):
        new("photos", background="others", out="b.yaml")


def test_split_folders_with_less_than_a_batch(here: Path) -> None:
    """Two pictures a class to learn from: `train` would refuse the recipe."""
    split_folders(here / "photos", train=3, test=1)
    with pytest.raises(UnusableFile, match="there are 6 training pictures in all, fewer than the 8"):
        new("photos")
    assert not (here / "photos.yaml").exists()


def test_nothing_is_replaced_unasked(here: Path) -> None:
    photos(here / "photos")
    for taken in ("photos.yaml", "photos.splits.csv"):
        (here / taken).write_text("mine")
        with pytest.raises(UsageError, match=rf"^{taken}: exists already; choose another --out, or .* --force"):
            new("photos")
        assert (here / taken).read_text() == "mine"
        assert len(os.listdir(here)) == 2
        (here / taken).unlink()
    (here / "photos.yaml").write_text("mine")
    assert new("photos", out="other.yaml").splits == Path("other.splits.csv")
    new("photos", force=True)
    assert load_recipe(here / "photos.yaml").name == "photos"


@pytest.mark.parametrize(
    ("folder", "recipe"), [("my photos!", "my-photos.yaml"), ("Kätzchen", "Katzchen.yaml"), ("ß", "pictures.yaml")]
)
def test_names_of_folders(folder: str, recipe: str, here: Path) -> None:
    photos(here / folder, 10)
    record = new(folder)
    assert record.recipe == Path(recipe)
    assert load_recipe(record.recipe).data.folder == folder


def test_a_recipe_elsewhere_finds_its_pictures_from_everywhere(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(here / "photos", 10)
    (here / "recipes").mkdir()
    above = new("photos", out="recipes/cats.yaml")
    beside = new("photos", out=tmp_path / "beside.yaml")
    assert load_recipe(above.recipe).data.folder == str(here / "photos")
    assert load_recipe(beside.recipe).data.folder == "here/photos"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for path in (here / "recipes/cats.yaml", tmp_path / "beside.yaml"):
        data = located(load_recipe(path), path.parent).data
        assert data.folder == str(here / "photos")
        assert data.splits == str(path.parent / f"{path.stem}.splits.csv")
        assert [len(open_dataset(spec_of(str(path))).load(split)) for split in SPLITS] == [18, 6, 6]


def test_what_lies_beside_the_recipe_comes_first(here: Path, tmp_path: Path) -> None:
    """Another folder of the same name, in the working folder, is not taken for it."""
    photos(tmp_path / "set/photos", 10)
    photos(here / "photos", 12)
    record = new(tmp_path / "set/photos", out=tmp_path / "set/photos.yaml")
    found = located(load_recipe(record.recipe), record.recipe.parent)
    assert found.data.folder == str(tmp_path / "set/photos")
    moved = here / "moved.yaml"
    shutil.copy(record.recipe, moved)
    assert located(load_recipe(moved), tmp_path / "nowhere").data.folder == str(here / "photos")


def test_what_can_not_be_done(here: Path) -> None:
    with pytest.raises(
        UnusableFile, match=r"^nowhere: there is no such folder; it holds a folder of pictures for each"
    ):
        new("nowhere")
    photos(here / "photos", 10)
    with pytest.raises(UsageError, match=r"a recipe's name ends in \.yaml, such as --out photos\.yaml"):
        new("photos", out="photos.csv")
    (here / "a.yaml").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        new("photos", out="a.yaml")
    with pytest.raises(UsageError, match="can't be written"):
        new("photos", out="photos/cat/000.png/a.yaml")
    for path in (here / "photos/cat").iterdir():
        path.unlink()
    with pytest.raises(UnusableFile, match="cat has 0, and a class needs at least 10"):
        new("photos")


def test_large_photos_are_looked_at_upright(here: Path) -> None:
    for label in ("cat", "ship"):
        for number in range(10):
            path = here / f"photos/{label}/{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            tags = Image.Exif()
            tags[0x0112] = 6
            Image.fromarray(real(label)[number]).resize((300, 100)).save(path, exif=tags)
    record = new("photos")
    assert record.size == (96, 96)
    assert record.resize == "letterbox"
    assert "a short side of 100 pixels" in record.recipe.read_text()


@pytest.mark.slow
def test_a_run_keeps_its_own_list(here: Path) -> None:
    """A list made anew may put into test what the run has learnt from."""
    photos(here / "photos", 10)
    record = new("photos")
    plain = {"dtype": "float32", "threads": 1, "layout": "channels_last", "compile": False, "epochs": 1}
    run = Run(edgecnn.train(record.recipe, {f"train.{key}": value for key, value in plain.items()}).run)
    before = (run.path / "splits.csv").read_bytes()
    assert before == Path("photos.splits.csv").read_bytes()
    swapped = before.replace(b",train,", b",swap,").replace(b",test,", b",train,").replace(b",swap,", b",test,")
    Path("photos.splits.csv").write_bytes(swapped)
    data = recipe_of(run).data
    assert (data.folder, data.splits) == (str(here / "photos"), str(run.path.resolve() / "splits.csv"))
    assert edgecnn.evaluate(run.path).n == 6, "of the list that it was trained by; the new one has 18"
    assert edgecnn.export(run.path, targets=["tflite"], int8=True)


def test_photos_of_a_kind_that_is_not_read_are_named_as_the_cause(here: Path) -> None:
    photos(here / "photos", 12)
    for path in sorted((here / "photos/cat").iterdir())[:5]:
        path.rename(path.with_suffix(".HEIC"))
    with pytest.raises(UnusableFile, match=r"cat has 7, .*; photos: .*cat has 5 \.heic: convert them to JPEG or PNG"):
        new("photos")


def test_a_folder_too_far_up(here: Path) -> None:
    photos(here / "download/photos", 10)
    with pytest.raises(UnusableFile, match=r"one class only, 'photos'.*if cat, ship, truck are.*`edgecnn new downl"):
        new("download")
    assert new("download/photos").recipe == Path("photos.yaml")


def test_classes_of_few_pictures_are_told(here: Path) -> None:
    photos(here / "photos", 120, ("ship", "truck"))
    photos(here / "photos", 12, ("cat",))
    (note,) = new("photos").notes
    assert note.startswith("few pictures to learn from: cat 6 (the most: ship 90)")
    photos(here / "photos", 20, ("cat",))
    assert new("photos", force=True).notes == ()


def test_where_runs_lie_beside_the_classes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(here, 12)
    (here / "runs/photos").mkdir(parents=True)
    (here / "runs/photos/resolved.yaml").write_text("name: photos\n")
    write(here / "runs/photos/curves.png", real("cat")[0])
    assert list(new(".").classes) == ["cat", "ship", "truck"]


@pytest.mark.parametrize("name", ["a" * 300, "~nobody-of-this-name/photos"])
def test_a_folder_that_can_not_even_be_looked_for(name: str) -> None:
    left = command("new", name)
    assert left.code == 3
    assert "there is no such folder" in left.err


@pytest.mark.parametrize("out", [".", "/"])
def test_a_folder_is_no_recipe(out: str, tmp_path: Path) -> None:
    left = command("new", photos(tmp_path / "photos", 10), "--out", out)
    assert left.code == 2
    assert "give the recipe another name with --out" in left.err
