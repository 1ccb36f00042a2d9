"""A folder with a list: what it says is what is loaded, whatever a spreadsheet did to it; each fault has its line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from edgecnn.data import SPLITS, Dataset, DataSpec, fingerprint, open_dataset
from edgecnn.data.listed import Row, read_rows, write_rows
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile, UsageError
from tests.data.photos import CLASSES, photos, real, write

COUNTS = {"train": 6, "val": 2, "test": 3}


def listed(folder: Path, counts: dict[str, int] = COUNTS) -> Path:
    """Pictures of each class in `folder`/photos, and a list of them, which it gives back."""
    photos(folder / "photos", sum(counts.values()))
    splits = [split for split, count in counts.items() for _ in range(count)]
    rows = [Row(f"{label}/{i:03}.png", label, split) for label in CLASSES for i, split in enumerate(splits)]
    write_rows(folder / "photos.splits.csv", rows)
    return folder / "photos.splits.csv"


def opened(splits: Path, broken: str = "refuse", background: Path | None = None) -> Dataset:
    folder = str(splits.parent / "photos")
    others = None if background is None else str(background)
    return open_dataset(DataSpec(None, folder, 0.2, 16, 16, "crop", broken, splits=str(splits), background=others))


def test_what_is_listed_is_loaded(tmp_path: Path) -> None:
    dataset = opened(listed(tmp_path))
    assert dataset.labels == CLASSES
    for split, count in COUNTS.items():
        pictures = dataset.load(split)
        assert pictures.classes.tolist() == [0] * count + [1] * count + [2] * count
        assert pictures.names == tuple(sorted(pictures.names))
        for name, image in zip(pictures.names, pictures.images, strict=True):
            assert np.array_equal(image, pixels.load(tmp_path / "photos" / name, 16, 16, "crop"))
    assert dataset.notes == ()


def test_a_list_that_a_spreadsheet_wrote(tmp_path: Path) -> None:
    """Sorted otherwise, with semicolons, a byte order mark, CRLF, an empty line and a column more."""
    splits = listed(tmp_path)
    before = [fingerprint(opened(splits).load(split)) for split in SPLITS]
    with splits.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with splits.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ("split", "label", "mine", "path"), delimiter=";", extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "mine": "good; really"} for row in sorted(rows, key=lambda row: row["path"][::-1]))
        file.write(";;;\r\n")
    assert [fingerprint(opened(splits).load(split)) for split in SPLITS] == before


def test_any_name_comes_back(tmp_path: Path) -> None:
    names = [
        'a,b;c"d".png',
        "two\nlines.png",
        " spaces .png",
        b"latin-\xe9.png".decode(errors="surrogateescape"),
        "é.png",
    ]
    rows = tuple(Row(name, "cat", "train", "7") for name in sorted(names))
    write_rows(tmp_path / "list.csv", reversed(rows))
    assert read_rows(tmp_path / "list.csv") == rows


def test_labels_are_those_of_the_list(tmp_path: Path) -> None:
    """A picture is given another class, and a class another name, without moving files."""
    splits = listed(tmp_path)
    text = splits.read_text().replace("cat/000.png,cat", "cat/000.png,ship").replace(",truck,", ",lorry,")
    splits.write_text(text)
    dataset = opened(splits)
    assert dataset.labels == ("cat", "lorry", "ship")
    pictures = dataset.load("train")
    assert dataset.labels[pictures.classes[pictures.names.index("cat/000.png")]] == "ship"


def test_a_background_lies_elsewhere(tmp_path: Path) -> None:
    splits = listed(tmp_path)
    for number, image in enumerate(real("frog")[:6]):
        write(tmp_path / f"others/deep/{number}.png", image)
    rows = [Row(f"deep/{i}.png", "background", split) for i, split in enumerate((*SPLITS, *SPLITS))]
    write_rows(splits, [*read_rows(splits), *rows])
    dataset = opened(splits, background=tmp_path / "others")
    assert dataset.labels == ("background", *CLASSES)
    pictures = dataset.load("test")
    assert [name for name in pictures.names if name.startswith("background/")] == [
        "background/deep/2.png",
        "background/deep/5.png",
    ]
    assert np.array_equal(pictures.images[0], pixels.load(tmp_path / "others/deep/2.png", 16, 16, "crop"))
    assert dataset.notes == ()


def test_unlisted_pictures_are_passed_over_and_counted(tmp_path: Path) -> None:
    splits = listed(tmp_path)
    before = fingerprint(opened(splits).load("train"))
    for number in range(3):
        write(tmp_path / f"photos/cat/new{number}.png", real("cat")[50 + number])
    dataset = opened(splits)
    assert fingerprint(dataset.load("train")) == before
    (note,) = dataset.notes
    assert note.startswith(f"{tmp_path / 'photos'}: passed over 3 pictures that {splits} doesn't list; where some are")


def test_pictures_in_no_class_are_not_unlisted(tmp_path: Path) -> None:
    """`new` would not list them either."""
    splits = listed(tmp_path)
    write(tmp_path / "photos/loose.png", real("cat")[50])
    dataset = opened(splits)
    dataset.load("train")
    assert dataset.notes == ()


def test_files_that_are_gone_are_like_broken_ones(tmp_path: Path) -> None:
    splits = listed(tmp_path)
    (tmp_path / "photos/cat/001.png").unlink()
    with pytest.raises(
        UnusableFile, match=r"1 of 18 train pictures can't be used: cat/001.png: can't be read \(No such"
    ):
        opened(splits).load("train")
    dataset = opened(splits, "skip")
    assert len(dataset.load("train")) == 17
    assert "1 of 18 train pictures can't be used and are left out" in dataset.notes[0]


def test_train_and_val_never_look_at_test_files(tmp_path: Path) -> None:
    splits = listed(tmp_path)
    before = [fingerprint(opened(splits).load(split)) for split in ("train", "val")]
    for row in read_rows(splits):
        if row.split == "test":
            (tmp_path / "photos" / row.path).unlink()
            (tmp_path / "photos" / row.path).mkdir()  # anything that opened it would fail
    dataset = opened(splits)
    assert [fingerprint(dataset.load(split)) for split in ("train", "val")] == before
    assert dataset.notes == ()
    with pytest.raises(UnusableFile, match="9 of 9 test pictures"):
        dataset.load("test")


def test_splits_that_are_missing_are_those_of_class_folders(tmp_path: Path) -> None:
    dataset = opened(listed(tmp_path / "a", {"train": 10, "test": 2}))
    assert [len(dataset.load(split)) for split in SPLITS] == [24, 6, 6], "val is held out of train"
    dataset = opened(listed(tmp_path / "b", {"train": 5, "val": 2}))
    assert dataset.load("test").names == dataset.load("val").names
    assert "lists val but no test pictures" in dataset.notes[0]
    dataset = opened(listed(tmp_path / "c", {"train": 5}))
    with pytest.raises(UnusableFile, match=r"lists no test pictures: write test into their column 'split'"):
        dataset.load("test")


FAULTS = {
    "no file": (None, "there is no file"),
    "no column": ("path,split\n", r"list.csv:1: has no column label; `edgecnn new"),
    "empty": ("", r"list.csv:1: has no column path, label, split"),
    "split": ("path,label,split\na,cat,trian\n", r"list.csv:2: there is no split 'trian'; did you mean 'train'"),
    "label": ("path,label,split\na,cat,train\nb,,train\n", r"list.csv:3: a picture has a path and a label; got 'b'"),
    "short line": ("path,label,split\na,cat\n", r"list.csv:2: there is no split ''"),
    "twice": ("path,label,split\na,cat,train\na,cat,test\n", r"list.csv:3: a is listed twice"),
    "one class": ("path,label,split\na,cat,train\nb,dog,test\n", r"train needs at least two classes; found only 'cat'"),
    "no train": ("path,label,split\na,cat,test\n", r"train needs at least two classes; found none"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_list(fault: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    text, message = FAULTS[fault]
    if text is not None:
        (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UnusableFile, match=message):
        opened(tmp_path / "list.csv")


def test_a_class_that_is_not_in_train(tmp_path: Path) -> None:
    splits = listed(tmp_path)
    splits.write_text(splits.read_text() + "cat/new.png,dog,test\n")
    dataset = opened(splits)
    dataset.load("train")
    with pytest.raises(UnusableFile, match=r"test has classes that train has not \(dog\)"):
        dataset.load("test")


def test_what_does_not_go_together() -> None:
    with pytest.raises(UsageError, match="splits goes with folder"):
        DataSpec("cifar10", None, 0.1, 32, 32, "crop", splits="a.csv")
    with pytest.raises(UsageError, match="background goes with splits"):
        DataSpec(None, "photos", 0.1, 32, 32, "crop", background="others")


def test_a_list_whose_first_line_is_longer_than_a_table_s(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text('"' + "a" * 200_000 + '"\n')
    with pytest.raises(UnusableFile, match=r"list.csv:\d: is no CSV"):
        read_rows(path)
