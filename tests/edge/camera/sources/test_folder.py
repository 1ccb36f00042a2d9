"""folder.py: which files, in which order, and that none of them ends the rest."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.edge import pixels
from edgecnn.edge.camera.clock import Pace
from edgecnn.edge.camera.frames import decode
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.camera.sources.folder import SOURCE
from edgecnn.errors import UnusableFile, UsageError

FAST = Wanted(32, 32, fast=True)


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((4, 6, 3), value, np.uint8))
    return path


def names(folder: Path, wanted: Wanted = FAST) -> list[str]:
    with SOURCE.open(str(folder), wanted) as source:
        return [str(frame.name) for frame in source]


def test_picture_files_come_sorted_from_all_folders(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "dog/2.webp", "dog/10.bmp", "cat/x y.jpeg", "cat/old/1.jpg"):
        picture(tmp_path / name)
    for name in (".hidden.jpg", ".thumbs/a.jpg", "dog/.cache/b.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    expected = ["a.JPG", "b.png", "cat/x y.jpeg", "cat/old/1.jpg", "dog/10.bmp", "dog/2.webp"]
    assert names(tmp_path) == [str(tmp_path / name) for name in expected]


def test_frames_are_the_files_themselves(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 77)
    with SOURCE.open(str(tmp_path), FAST) as source:
        assert not source.live
        assert source.description == f"{tmp_path}: 1 picture, as fast as it goes"
        (frame,) = source
    assert frame.encoding == "file"
    assert frame.data.tobytes() == path.read_bytes()
    assert np.array_equal(decode(frame), pixels.read(path))


def test_a_single_picture(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    assert SOURCE.claims(str(path))
    assert names(path) == [str(path)]


def test_a_broken_or_unreadable_picture_does_not_end_it(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{letter}.jpg") for letter in "abcd"]
    paths[0].write_bytes(b"no picture")
    with SOURCE.open(str(tmp_path), FAST) as source:
        paths[2].unlink()  # after it was listed
        frames = list(source)
    assert [frame.name for frame in frames] == [str(path) for path in paths]
    with pytest.raises(UnusableFile, match=r"a\.jpg: an unknown type of file"):
        decode(frames[0])
    with pytest.raises(UnusableFile, match=r"c\.jpg: can't be read \(No such file or directory\)$"):
        decode(frames[2])
    assert decode(frames[1]).shape == decode(frames[3]).shape == (4, 6, 3)


class Clock:
    """Time passes by sleeping only."""

    ns = 50_000_000_000

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def test_pictures_come_at_their_pace_and_again(tmp_path: Path) -> None:
    for letter in "abc":
        picture(tmp_path / f"{letter}.png")
    with SOURCE.open(str(tmp_path), Wanted(32, 32, pictures_per_s=4.0, loop=True)) as source:
        assert source.description == f"{tmp_path}: 3 pictures, 4 a second"
        clock = Clock()
        source._pace = Pace(lambda: clock.ns, clock.sleep)
        start_ns, seen = clock.ns, []
        for frame in islice(source, 8):
            seen.append((Path(str(frame.name)).stem, (clock.ns - start_ns) / 1e9))
    assert seen == [(letter, number / 4) for number, letter in enumerate("abcabcab")]


def test_what_can_not_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnusableFile, match=r"empty: has no pictures; JPEG, PNG, WebP and BMP files are looked for"):
        SOURCE.open(str(tmp_path / "empty"), FAST)
    for missing in ("gone/", "gone", "gone.jpg"):
        assert SOURCE.claims(f"{tmp_path}/{missing}")
        with pytest.raises(UnusableFile, match="there is no such file or folder"):
            SOURCE.open(f"{tmp_path}/{missing}", FAST)


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    with pytest.raises(UnusableFile, match=r"can't be read \(Permission denied\)"):
        SOURCE.open(str(tmp_path), FAST)


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan")])
def test_a_pace_that_is_none(pace: float) -> None:
    with pytest.raises(UsageError, match="pictures_per_s must be more than 0"):
        Wanted(32, 32, pictures_per_s=pace)
