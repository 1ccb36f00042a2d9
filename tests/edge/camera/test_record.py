"""Frames that are kept: under which names, which ones, up to which size, and on a disk that refuses."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.edge.camera import record
from edgecnn.edge.camera.record import Choice, Frame, Recorder, file_name, folder_name
from edgecnn.edge.pixels import Image
from edgecnn.errors import UsageError
from tests.small_disk import fill, free, small_disk

S = 1_000_000_000
PLAIN = ["cat", "fire truck", "nine-lives_2", "Käse", "猫", "a.b", "~x", "it's", "(1)", "#5", "unsure", "console"]
UNSAFE = {
    "": "%",
    ".": "%2E",
    "..": "%2E%2E",
    "../../etc": "%2E.%2F..%2Fetc",
    ".hidden": "%2Ehidden",
    "a/b\\c": "a%2Fb%5Cc",
    "end. ": "end.%20",
    "two\nlines\0": "two%0Alines%00",
    '"quoted" 100 %?': "%22quoted%22 100 %25%3F",
    "con": "%63on",
    "COM1.txt": "%43OM1.txt",
    "nul\udcff": "nul%ED%B3%BF",
    "*:<|>": "%2A%3A%3C%7C%3E",
}


def moving(number: int, size: int = 64) -> Image:
    """Pictures that are all unlike each other."""
    return np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8).repeat(size // 4, 0).repeat(size // 4, 1)


def kept(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.005)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", PLAIN)
def test_ordinary_labels_stay_as_they_are(label: str) -> None:
    assert folder_name(label) == label


@pytest.mark.parametrize(("label", "name"), UNSAFE.items())
def test_unsafe_labels_are_written_as_in_urls(label: str, name: str) -> None:
    assert folder_name(label) == name


ANY_LABEL = st.text(max_size=300) | st.text("./\\ %2EConAUX\n\0\udcff", max_size=80)


@given(ANY_LABEL)
def test_any_label_is_one_safe_folder_and_can_be_read_back(label: str) -> None:
    name = folder_name(label)
    assert 1 <= len(name.encode()) <= 200
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert not name.startswith(".")
    assert not name.endswith((".", " "))
    assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name)
    if "%-" not in name and label:
        assert unquote(name, errors="surrogatepass") == label


@given(st.text(min_size=1, max_size=5), st.text("a%2Fé\n", max_size=8))
def test_long_labels_that_begin_alike_differ(begin: str, end: str) -> None:
    long = begin * 200
    names = {folder_name(long + end), folder_name(long + end + "x"), folder_name(long)}
    assert len(names) == (3 if end else 2)
    assert not any(re.search(r"%[0-9A-F]?%-", name) for name in names), "no quoting is cut through"


def test_the_time_is_utc_with_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert file_name(1_795_578_301_123_999_999, 0.934) == "20261125T034501.123Z_0.93.jpg"
        assert file_name(0, 1.0) == "19700101T000000.000Z_1.00.jpg"
    finally:
        monkeypatch.undo()
        time.tzset()


# --- which frames ----------------------------------------------------------------------------------------------------


def test_frames_like_the_last_kept_are_not_new() -> None:
    choice = Choice()
    noise = np.random.default_rng(0)
    scene = moving(0, 240).astype(np.int16)
    noisy = [np.clip(scene + noise.normal(0, 8, scene.shape), 0, 255).astype(np.uint8) for _ in range(3)]
    moved = scene.astype(np.uint8).copy()
    moved[60:160, 60:160] = 255 - moved[60:160, 60:160]
    new = [choice.is_new(Frame(picture, "cat", 1, 0)) for picture in (*noisy, moved, moved)]
    assert new == [True, False, False, True, False]
    assert choice.is_new(Frame(moved, "dog", 1, 0)), "each label has its own"


def test_a_slow_drift_is_kept_now_and_then() -> None:
    choice = Choice()
    frames = [np.full((48, 64, 3), 100 + level, np.uint8) for level in range(10)]
    assert [choice.is_new(Frame(one, "cat", 1, 0)) for one in frames] == [True, False] * 5


def test_one_a_second_of_each_label(tmp_path: Path) -> None:
    with Recorder(tmp_path, pytest.fail) as recorder:
        now = time.monotonic_ns()
        for number in range(60):
            recorder.offer(moving(number), ("cat", "dog")[number % 2], 0.5, now + number * S // 20)
            wait_for(recorder._queue.empty)
            wait_for(lambda: recorder.kept > 0)
    assert sum(name.startswith("cat/") for name in kept(tmp_path)) == 3
    assert sum(name.startswith("dog/") for name in kept(tmp_path)) == 3


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_frame_is_kept_as_it_was_when_it_was(tmp_path: Path, sample_pictures: dict[str, Path]) -> None:
    picture = np.ascontiguousarray(cv2.imread(str(sample_pictures["ship"]))[:, :, ::-1])
    before = time.time()
    with Recorder(tmp_path / "new" / "it's\n..", pytest.fail) as recorder:
        recorder.offer(picture, "../ship", 0.934, time.monotonic_ns() - 5 * S)
    (path,) = (one for one in tmp_path.rglob("*") if one.is_file())
    assert path.parent == tmp_path / "new" / "it's\n.." / "%2E.%2Fship"
    found = re.fullmatch(r"(\d{8}T\d{6})\.(\d{3})Z_0\.93\.jpg", path.name)
    assert found is not None
    taken = time.strftime("%Y%m%dT%H%M%S", time.gmtime(before - 5))
    assert taken <= found[1] <= time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() - 5))
    again = cv2.imread(str(path))[:, :, ::-1]
    assert np.abs(again.astype(int) - picture).mean() < 4, "red is red"


def test_the_loop_is_not_slowed_by_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(path: Path, content: bytes) -> None:
        begun.set()
        assert go.wait(20)

    monkeypatch.setattr(record, "write_whole", slow)
    with Recorder(tmp_path, pytest.fail) as recorder:
        recorder.offer(moving(0), "cat 0", 0.5, 0)
        assert begun.wait(20)
        for number in range(1, 1000):
            recorder.offer(moving(number), f"cat {number}", 0.5, 0)  # this test would hang if one waited
        go.set()
    assert recorder.kept == 2, "the one that was being written, and the one that waited"


def test_at_the_limit_nothing_more_is_kept_and_it_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "cat" / "deep").mkdir(parents=True)
    (tmp_path / "cat" / "deep" / "of the user").write_bytes(bytes(2**20 - 6000))
    told: list[str] = []
    with Recorder(tmp_path, told.append, limit_mib=1) as recorder:
        for number in range(30):
            recorder.offer(moving(number), f"cat {number}", 0.5, 0)
            wait_for(recorder._queue.empty)
    assert 1 <= recorder.kept < 15
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 2**20
    assert (tmp_path / "cat" / "deep" / "of the user").exists()
    assert len(told) == 1
    assert "its limit is 1 MiB; no more frames are kept" in told[0]
    assert recorder.stopped


def test_a_frame_that_is_there_already_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_795_578_301_123_000_000)
    monkeypatch.setattr(time, "monotonic_ns", lambda: 0)
    there = tmp_path / "cat" / "20261125T034501.123Z_0.50.jpg"
    there.parent.mkdir()
    there.write_bytes(b"the user's")
    with Recorder(tmp_path, pytest.fail) as recorder:
        recorder.offer(moving(0), "cat", 0.5, 0)
    assert there.read_bytes() == b"the user's"
    assert recorder.kept == 0


def test_a_full_disk_ends_recording_and_nothing_else(tmp_path: Path) -> None:
    told: list[str] = []
    with small_disk(tmp_path / "disk", mib=1) as disk:
        with Recorder(disk / "frames", told.append) as recorder:
            fill(disk)
            recorder.offer(moving(0), "cat", 0.5, 0)
            wait_for(lambda: recorder.stopped)
            free(disk)
            recorder.offer(moving(1), "dog", 0.5, 0)
        assert kept(disk / "frames") == [], "not even a part"
    assert len(told) == 1
    assert "the disk is full" in told[0]
    assert "the camera goes on" in told[0]


def test_a_class_folder_that_can_not_be_made_ends_recording(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "cat").write_text("a file")
    with Recorder(tmp_path, told.append) as recorder:
        recorder.offer(moving(0), "cat", 0.5, 0)
    assert len(told) == 1
    assert "can't be written" in told[0]
    assert recorder.stopped


def test_a_place_that_is_no_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="can't be written"):
        Recorder(tmp_path / "file", pytest.fail)
    with pytest.raises(UsageError, match="can't be written"):
        Recorder(tmp_path / "file" / "below", pytest.fail)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_refused_at_the_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="Permission denied"):
        Recorder(tmp_path, pytest.fail)


@pytest.mark.parametrize(("limit_mib", "per_second"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_figures_that_keep_nothing_are_refused(tmp_path: Path, limit_mib: float, per_second: float) -> None:
    with pytest.raises(UsageError, match="keep nothing"):
        Recorder(tmp_path, pytest.fail, limit_mib, per_second)
