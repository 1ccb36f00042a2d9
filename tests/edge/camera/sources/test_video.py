"""video.py on files that OpenCV writes here, and on real footage where there is some."""

from __future__ import annotations

import os
import time
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.edge.camera.clock import Pace
from edgecnn.edge.camera.frames import decode
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.camera.sources.video import SOURCE, VideoSource
from edgecnn.errors import UnusableFile
from tests.edge.camera.reading import read_until

FAST = Wanted(32, 32, fast=True)
FRAMES, RATE = 20, 25.0


def grey(number: int) -> NDArray[np.uint8]:
    """Frame `number` is of brightness 10 * number."""
    return np.full((48, 64, 3), 10 * number, np.uint8)


def written(path: Path, codec: str = "MJPG", frames: int = FRAMES) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), RATE, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(grey(number))
    writer.release()
    return path


def numbers(frames: list[NDArray[np.uint8]]) -> list[int]:
    return [round(float(frame.mean()) / 10) for frame in frames]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("no suffix", "MJPG")])
def test_every_frame_comes_in_order(tmp_path: Path, name: str, codec: str) -> None:
    suffixed = tmp_path / (name if "." in name else "b.avi")
    path = written(suffixed, codec).rename(tmp_path / name)
    assert SOURCE.claims(str(path))
    with SOURCE.open(str(path), FAST) as source:
        assert not source.live
        assert source.description == f"{path}: 64x48 at 25 frames/s, 0.8 s"
        frames = list(source)
    assert numbers([decode(frame) for frame in frames]) == list(range(FRAMES))
    ages_ns = time.monotonic_ns() - np.array([frame.captured_ns for frame in frames])
    assert (ages_ns >= 0).all()


class Clock:
    """Time passes by sleeping only."""

    ns = 50_000_000_000

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def paced(source: VideoSource) -> Clock:
    clock = Clock()
    source._pace = Pace(lambda: clock.ns, clock.sleep)
    return clock


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_frames_are_due_by_their_own_times(tmp_path: Path, name: str, codec: str) -> None:
    with SOURCE.open(str(written(tmp_path / name, codec)), Wanted(32, 32)) as source:
        start_ns = paced(source).ns
        due_ns = [frame.captured_ns - start_ns for frame in source]
    assert np.array(due_ns) / 1e9 == pytest.approx(np.arange(FRAMES) / RATE, abs=1e-3)


def test_the_pace_is_real(tmp_path: Path) -> None:
    path = written(tmp_path / "a.avi", frames=11)
    with SOURCE.open(str(path), Wanted(32, 32)) as source:
        before_s = time.monotonic()
        assert len(list(source)) == 11
    assert time.monotonic() - before_s >= 10 / RATE


def test_a_loop_goes_on_at_the_same_pace(tmp_path: Path) -> None:
    with SOURCE.open(str(written(tmp_path / "a.avi", frames=5)), Wanted(32, 32, loop=True)) as source:
        start_ns = paced(source).ns
        frames = list(islice(source, 13))
    assert numbers([decode(frame) for frame in frames]) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]
    due_s = np.array([frame.captured_ns - start_ns for frame in frames]) / 1e9
    assert due_s == pytest.approx(np.arange(13) / RATE, abs=1e-3)


def test_frames_without_times_are_due_by_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some containers have no time stamps, and OpenCV then says 0 for all."""
    with SOURCE.open(str(written(tmp_path / "a.avi")), Wanted(32, 32)) as source:
        start_ns = paced(source).ns

        class Timeless:
            def get(self, property: int) -> float:
                return 0.0 if property == cv2.CAP_PROP_POS_MSEC else capture.get(property)

            def __getattr__(self, name: str) -> object:
                return getattr(capture, name)

        capture, source._capture = source._capture, Timeless()  # type: ignore[assignment]
        due_ns = [frame.captured_ns - start_ns for frame in source]
    assert np.array(due_ns) / 1e9 == pytest.approx(np.arange(FRAMES) / RATE, abs=1e-6)


def test_a_file_that_was_cut_off_ends_with_a_word(tmp_path: Path) -> None:
    path = written(tmp_path / "half.avi", frames=25)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with SOURCE.open(str(path), FAST) as source:
        frames, said = read_until(source, UnusableFile)
    assert 0 < len(frames) < 20
    assert f"cut off after frame {len(frames)} of 25" in said


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("notes.mp4", b"Dear diary,\n" * 100, "is no video that FFmpeg can read"),
        ("empty.mp4", b"", "the file is empty; get it anew"),
        ("noise.avi", bytes(range(256)) * 64, "is no video that FFmpeg can read"),
        ("gone.mp4", None, r"can't be read \(No such file or directory\)"),
    ],
)
def test_what_is_no_video_is_named(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert SOURCE.claims(str(path))
    with pytest.raises(UnusableFile, match=f"{name}: {problem}"):
        SOURCE.open(str(path), FAST)


def test_footage() -> None:
    path = Path(os.environ.get("EDGECNN_DATA", "none")) / "media" / "bikes.mp4"
    if not path.is_file():
        pytest.skip("needs real footage: set EDGECNN_DATA to the folder that holds media/bikes.mp4")
    with SOURCE.open(str(path), FAST) as source:
        assert source.description == f"{path}: 640x272 at 25 frames/s, 10.0 s"
        frames = [decode(frame) for frame in source]
    assert len(frames) == 250
    assert {frame.shape for frame in frames} == {(272, 640, 3)}
    assert 20 < np.mean([frame.mean() for frame in frames]) < 235
    assert not any(np.array_equal(one, next) for one, next in pairwise(frames))
