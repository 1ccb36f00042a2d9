"""Class folders: layouts, what is passed over, and one clear sentence for each way they can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecnn.data import SPLITS, Dataset, DataSpec, fingerprint, open_dataset
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile
from tests.verbs.small_runs import class_folders

LABELS = ("cat", "dog", "eel")


def write(path: Path, shade: int) -> None:
    """A picture that differs in size, shade and format from its neighbours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(shade).integers(0, 60, (20 + shade % 7, 24 + shade % 5, 3), np.uint8)
    Image.fromarray(noise + np.uint8(shade % 180)).save(path)


def folders(root: Path, counts: dict[str, int]) -> Path:
    """`counts[split]` pictures of each class, in the formats that are read."""
    suffixes = (".jpg", ".png", ".webp", ".bmp", ".JPEG")
    for s, (split, count) in enumerate(counts.items()):
        for c, label in enumerate(LABELS):
            for i in range(count):
                write(root / split / label / f"{i:02}{suffixes[i % 5]}", 50 * s + 10 * c + i)
    return root


def opened(root: Path, resize: str = "crop", broken: str = "refuse") -> Dataset:
    return open_dataset(DataSpec(None, str(root), 0.2, 16, 16, resize, broken))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("resize", pixels.RESIZE_RULES)
def test_three_folders_are_used_as_they_are(tmp_path: Path, resize: str) -> None:
    root = folders(tmp_path, {"train": 10, "val": 3, "test": 4})
    dataset = opened(root, resize)
    assert dataset.labels == LABELS
    assert dataset.notes == ()
    for split, count in [("train", 10), ("val", 3), ("test", 4)]:
        pictures = dataset.load(split)
        assert pictures.classes.tolist() == [0] * count + [1] * count + [2] * count
        assert pictures.names == tuple(sorted(pictures.names))
        for name, image in zip(pictures.names, pictures.images, strict=True):
            assert name.startswith(f"{split}/")
            assert np.array_equal(image, pixels.load(root / name, 16, 16, resize))


def test_val_is_held_out_where_there_is_none(tmp_path: Path) -> None:
    dataset = opened(folders(tmp_path, {"train": 10, "test": 2}))
    train, val, test = (dataset.load(split) for split in SPLITS)
    assert [np.bincount(p.classes).tolist() for p in (train, val, test)] == [[8] * 3, [2] * 3, [2] * 3]
    assert not set(train.names) & set(val.names)
    assert all(name.startswith("train/") for name in val.names)
    assert dataset.notes == ()


def test_without_test_val_is_measured_and_a_note_says_so(tmp_path: Path) -> None:
    dataset = opened(folders(tmp_path, {"train": 10, "val": 3}))
    train, val, test = (dataset.load(split) for split in SPLITS)
    assert (len(train), len(val), len(test)) == (30, 9, 9)
    assert test.names == val.names
    (note,) = dataset.notes
    assert "is measured as the test split too" in note


def test_train_only_has_no_test_split(tmp_path: Path) -> None:
    dataset = opened(folders(tmp_path, {"train": 5}))
    assert len(dataset.load("val")) == 3
    with pytest.raises(UnusableFile, match="has no test/ folder"):
        dataset.load("test")


@pytest.mark.parametrize("counts", [{"train": 10, "val": 3, "test": 4}, {"train": 10, "test": 4}])
def test_train_and_val_never_look_into_test(tmp_path: Path, counts: dict[str, int]) -> None:
    root = folders(tmp_path, counts)
    before = [fingerprint(opened(root).load(split)) for split in ("train", "val")]
    shutil.rmtree(root / "test")
    (root / "test").symlink_to(root / "nowhere")  # anything that opened or listed it would fail
    dataset = opened(root)
    assert [fingerprint(dataset.load(split)) for split in ("train", "val")] == before
    (root / "test").unlink()
    assert [fingerprint(opened(root).load(split)) for split in ("train", "val")] == before
    (root / "test").symlink_to(root / "nowhere")
    with pytest.raises(UnusableFile, match=r"test: can't be read \(No such file"):
        dataset.load("test")


def test_a_folder_below_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path / "sets/pets", {"train": 5})
    spec = DataSpec(None, "pets", 0.2, 16, 16, "crop")
    assert open_dataset(spec, tmp_path / "sets").labels == LABELS
    monkeypatch.chdir(tmp_path / "sets")
    assert open_dataset(spec).labels == LABELS
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnusableFile, match=r"there is no folder pets \(looked for pets, "):
        open_dataset(spec)


def test_pictures_deeper_down_count_and_hidden_folders_do_not(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train": 5})
    write(root / "train/cat/2024/july/a.png", 3)
    (root / "train/.cache").mkdir()
    dataset = opened(root)
    assert dataset.labels == LABELS
    names = dataset.load("train").names + dataset.load("val").names
    assert "train/cat/2024/july/a.png" in names


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train": 5, "test": 1})
    for name in ("a.gif", "b.GIF", "notes.txt", "README", ".DS_Store"):
        (root / "train/dog" / name).write_bytes(b"")
    dataset = opened(root)
    dataset.load("train")
    dataset.load("test")
    (note,) = dataset.notes
    assert note == (
        f"{root}/train: passed over 4 files of other types (1 without a suffix, 2 .gif, 1 .txt); of these are "
        "pictures: dog has 2 .gif: convert them to JPEG or PNG"
    )


def test_every_broken_picture_is_counted_and_the_first_few_are_named(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train": 5, "val": 1, "test": 1})
    for name in ("cat/00.jpg", "cat/01.png", "dog/02.webp", "eel/03.bmp"):
        cut(root / "train" / name)
    (root / "train/eel/00.jpg").write_text("text")
    with pytest.raises(UnusableFile) as raised:
        opened(root).load("train")
    message = str(raised.value)
    assert "5 of 15 train pictures can't be used" in message
    assert "train/cat/00.jpg: the JPEG file is truncated" in message
    assert "train/cat/01.png: the PNG file is truncated" in message
    assert "and 2 more" in message
    assert "or train without them (data.broken=skip); `edgecnn data check RECIPE` (or the folder)" in message
    assert len(opened(root).load("val")) == 3, "the other splits are whole"


def test_skipped_pictures_are_left_out_and_noted(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train": 10, "val": 3, "test": 2})
    whole = opened(root).load("train")
    gone = ("cat/00.jpg", "cat/03.bmp", "dog/02.webp", "eel/09.JPEG")
    for name in gone:
        cut(root / "train" / name)
    dataset = opened(root, broken="skip")
    pictures = dataset.load("train")
    left = [place for place, name in enumerate(whole.names) if name.removeprefix("train/") not in gone]
    assert fingerprint(pictures) == fingerprint(whole.take(np.array(left)))
    (note,) = dataset.notes
    assert note.startswith(f"{root}: 4 of 30 train pictures can't be used and are left out: ")
    assert "train/cat/00.jpg: the JPEG file is truncated" in note
    assert "and 1 more; `edgecnn data check RECIPE` (or the folder) lists them all" in note
    assert opened(root, broken="skip").load("val").classes.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_a_picture_that_breaks_moves_no_other_between_train_and_val(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train": 10})
    before = {split: set(opened(root).load(split).names) for split in ("train", "val")}
    for name in ("train/cat/00.jpg", "train/dog/01.png", sorted(before["val"])[0]):
        cut(root / name)
        after = {split: set(opened(root, broken="skip").load(split).names) for split in ("train", "val")}
        assert after["train"] <= before["train"]
        assert after["val"] <= before["val"]
    assert sum(map(len, after.values())) == 27


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_of_which_nothing_is_left(tmp_path: Path, split: str) -> None:
    root = folders(tmp_path, {"train": 5, "val": 2, "test": 2})
    for path in (root / split / "dog").iterdir():
        cut(path)
    with pytest.raises(
        UnusableFile, match=rf"{split} pictures can't be used, and no other is left of dog: {split}/dog"
    ):
        opened(root, broken="skip").load(split)


def test_layouts_that_can_not_be_used(tmp_path: Path) -> None:
    def refused(name: str, *made: str) -> str:
        for path in made:
            write(tmp_path / name / path, 1) if path.endswith(".png") else (tmp_path / name / path).mkdir(parents=True)
        with pytest.raises(UnusableFile) as raised:
            opened(tmp_path / name).load("train")
        return str(raised.value)

    assert "there is no folder" in refused("missing")
    assert "is empty: pictures lie in train/<class>/" in refused("empty", ".")
    assert "has no train/ folder" in refused("flat", "cat/a.png", "dog/a.png")
    assert "needs at least two classes, a folder each; found none" in refused("none", "train")
    assert "needs at least two classes, a folder each; found only 'cat'" in refused("one", "train/cat/a.png")
    assert "has no pictures (.jpg" in refused("hollow", "train/cat", "train/dog")
    assert "has no pictures of dog" in refused("half", "train/cat/a.png", "train/cat/b.png", "train/dog")
    assert "class 'dog' has 1 training pictures" in refused(
        "few", "train/cat/a.png", "train/cat/b.png", "train/dog/a.png"
    )


def test_classes_that_train_has_not(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train": 5, "test": 2})
    write(root / "test/yak/a.png", 1)
    dataset = opened(root)
    assert len(dataset.load("train")) == 12
    with pytest.raises(UnusableFile, match=r"test has classes that train/ has not \(yak\)"):
        dataset.load("test")


def test_a_class_that_test_lacks_is_no_error(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train": 5, "test": 2})
    shutil.rmtree(root / "test/dog")
    dataset = opened(root)
    assert dataset.load("test").classes.tolist() == [0, 0, 2, 2]
    assert dataset.notes == (f"{root}/test has no pictures of dog: they are not measured there",)


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_colour_pictures_for_a_network_that_takes_grey(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = class_folders(tmp_path / "pictures")
    spec = DataSpec(None, str(root), 0.2, 16, 20, "crop", cache=where, channels=1)
    for split in ("train", "val", "test"):
        grey = open_dataset(spec).load(split)
        folder = root / ("test" if split == "test" else "train")
        assert grey.images.shape == (len(grey), 16, 20, 1)
        for name, image in zip(grey.names[:5], grey.images[:5], strict=True):
            path = next(folder.parent.rglob(name))
            assert np.array_equal(image, pixels.load(path, 16, 20, "crop", 1))
    colour = open_dataset(DataSpec(None, str(root), 0.2, 16, 20, "crop", cache=where)).load("val")
    assert colour.images.shape[3] == 3, "another place in the cache"
