"""Class folders that nobody has split, and telling them from those that are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgecnn.data.unsplit import is_split, read_unsplit
from edgecnn.data.walk import find_pictures
from edgecnn.errors import UnusableFile, UsageError
from tests.data.photos import photos, real, write


def folders(root: Path, *names: str) -> Path:
    root.mkdir(exist_ok=True)
    for name in names:
        (root / name).mkdir(parents=True)
    return root


LAYOUTS = {
    ("train", "val", "test"): True,
    ("train", "test"): True,
    ("train", "val", "unlabelled"): True,
    ("train",): True,
    ("cat", "dog"): False,
    ("bus", "car", "train"): False,
    (): False,
}


@pytest.mark.parametrize("names", LAYOUTS, ids=" ".join)
def test_is_split(names: tuple[str, ...], tmp_path: Path) -> None:
    assert is_split(folders(tmp_path, *names)) is LAYOUTS[names]


@pytest.mark.parametrize(
    "names", [("train", "valid"), ("Training", "Testing"), ("Train", "Test"), ("train", "validation", "test")]
)
def test_splits_that_are_called_otherwise(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="splits are called train, val and test here; rename them"):
        is_split(folders(tmp_path, *names))


def test_pictures_at_any_depth_and_what_is_passed_over(tmp_path: Path) -> None:
    photos(tmp_path, 2, ("cat", "ship"))
    write(tmp_path / "cat/2026/july/a.jpg", real("cat")[5])
    write(tmp_path / "loose.jpg", real("cat")[6])
    (tmp_path / "cat/IMG_1.HEIC").touch()
    (tmp_path / ".thumbnails").mkdir()
    unsplit = read_unsplit(tmp_path)
    assert unsplit.labels == ("cat", "ship")
    assert unsplit.files.names == ("cat/000.png", "cat/001.png", "cat/2026/july/a.jpg", "ship/000.png", "ship/001.png")
    assert unsplit.files.classes.tolist() == [0, 0, 0, 1, 1]
    assert unsplit.notes == (
        f"{tmp_path}: passed over 1 file of other types (1 .heic); of these are pictures: cat has 1 .heic: convert "
        "them to JPEG or PNG",
        f"{tmp_path}: passed over 1 picture in no class's folder",
    )


def test_a_background_is_a_class(tmp_path: Path) -> None:
    photos(tmp_path / "photos", 2, ("cat", "ship"))
    photos(tmp_path / "others", 1, ("frog", "deer"))
    unsplit = read_unsplit(tmp_path / "photos", tmp_path / "others")
    assert unsplit.labels == ("background", "cat", "ship")
    assert unsplit.files.names[:2] == ("background/deer/000.png", "background/frog/000.png")
    assert unsplit.files.paths[0] == tmp_path / "others/deer/000.png"


def test_what_can_not_be_used(tmp_path: Path) -> None:
    with pytest.raises(
        UnusableFile, match=r"holds no pictures in class folders; put those of each class into .*/<class>/"
    ):
        read_unsplit(folders(tmp_path / "empty"))
    (folders(tmp_path / "phone", "cat") / "cat/a.heic").touch()
    with pytest.raises(UnusableFile, match=r"as JPEG, PNG, WebP or BMP \(.*1 \.heic\)"):
        read_unsplit(tmp_path / "phone")
    with pytest.raises(UnusableFile, match="has one class only, 'cat'"):
        read_unsplit(photos(tmp_path / "one", 2, ("cat",)))


def test_backgrounds_that_can_not_be_used(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 1, ("cat", "ship"))
    with pytest.raises(UnusableFile, match="there is no such folder of background pictures"):
        read_unsplit(root, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"lies in .* where a folder is a class"):
        read_unsplit(root, root / "ship")
    with pytest.raises(UsageError, match=r"holds .*photos itself"):
        read_unsplit(root, tmp_path)
    folders(root, "background")
    with pytest.raises(UsageError, match="has a class 'background' already"):
        read_unsplit(root, folders(tmp_path / "others"))


@pytest.mark.parametrize("names", [("test", "val"), ("test",)])
def test_splits_without_train_are_no_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        photos(tmp_path / name, 2, ("cat", "ship"))
    with pytest.raises(UnusableFile, match="and no train/"):
        read_unsplit(tmp_path)


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    photos(tmp_path, 1, ("cat", "ship"))
    write(tmp_path / "cat/.trash/a.jpg", real("cat")[5])
    write(tmp_path / "cat/._000.jpg", real("cat")[6])
    assert read_unsplit(tmp_path).files.names == ("cat/000.png", "ship/000.png")


@pytest.mark.parametrize("name", ["new\nclass", "cat ", " cat", "\x1b[31mred", os.fsdecode(b"caf\xe9")])
def test_a_name_that_no_class_can_have(name: str, tmp_path: Path) -> None:
    """It would be found out when the training is over."""
    (photos(tmp_path, 1, ("cat", "ship")) / "cat").rename(tmp_path / name)
    with pytest.raises(UnusableFile, match="a line of plain text without blanks at its ends; rename it"):
        read_unsplit(tmp_path)


def test_what_is_passed_over_is_said_of_the_folder_it_lies_in(tmp_path: Path) -> None:
    root, elsewhere = photos(tmp_path / "photos", 1, ("cat", "ship")), photos(tmp_path / "others", 1, ("truck",))
    (elsewhere / "a.heic").touch()
    (root / "cat/notes.txt").touch()
    assert read_unsplit(root, elsewhere).notes == (
        f"{root}: passed over 1 file of other types (1 .txt); {elsewhere}: passed over 1 file of other types "
        "(1 .heic); of these are pictures: background has 1 .heic: convert them to JPEG or PNG",
    )


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(photos(tmp_path, 1, ("cat", "ship")) / "cat/pipe.jpg")
    assert read_unsplit(tmp_path).files.names == ("cat/000.png", "ship/000.png")


def test_a_folder_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    """As one whose permissions are missing: nothing in it could be seen."""
    with pytest.raises(UnusableFile, match=r"gone: can't be read \(No such file or directory\)"):
        find_pictures(tmp_path / "gone")
