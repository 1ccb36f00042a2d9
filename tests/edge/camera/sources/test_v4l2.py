"""v4l2.py before a webcam that behaves as OpenCV's V4L2 capture does, and before OpenCV itself where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.edge.camera.frames import decode
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.camera.sources.v4l2 import SOURCE, V4l2, V4l2Source
from edgecnn.edge.child import environment
from edgecnn.errors import DeviceError
from tests.edge.camera import v4l2_double
from tests.edge.camera.reading import read_until
from tests.edge.camera.v4l2_double import Webcam, read_fault, scene

WANTED = Wanted(32, 32)
SMALL = Wanted(32, 32, width=320, height=240, fps=200)


def opened(webcam: Webcam, wanted: Wanted = SMALL) -> V4l2Source:
    return V4l2(open_capture=lambda target, backend, parameters: webcam).open("0", wanted)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("offers", "encoding", "mean_error"),
    [
        (("YUYV", "MJPG"), "jpeg", 3.0),  # MJPG is asked for, whatever comes first
        (("MJPG",), "jpeg", 3.0),
        (("YUYV",), "yuyv", 1.0),  # only the second pixel's colour is lost
        (("NV12",), "rgb", 1.5),
        (("BGR3",), "bgr", 0.0),
    ],
)
def test_frames_come_as_the_camera_makes_them(
    offers: tuple[str, ...], encoding: str, mean_error: float, flat: bool
) -> None:
    webcam = Webcam(offers, flat=flat, patient=True)
    with opened(webcam) as source:
        frames = list(islice(source, 3))
    assert webcam.released
    for number, frame in enumerate(frames):
        assert frame.encoding == encoding
        error = np.abs(decode(frame).astype(int) - scene(320, 240)[number])
        assert error.mean() <= mean_error
        assert (frame.data.ndim == 1) == (encoding == "jpeg")


def test_640x480_mjpeg_at_30_frames_are_asked_for_with_few_buffers() -> None:
    webcam = Webcam(("YUYV", "MJPG"), sizes=((1280, 720), (640, 480)))
    with opened(webcam, WANTED) as source:
        assert source.live
        assert source.description == "/dev/video0: 640x480 MJPG at 30 frames/s"
    assert webcam.get(cv2.CAP_PROP_BUFFERSIZE) == 2


def test_the_camera_gives_what_it_has() -> None:
    webcam = Webcam(("YUYV",), rate=15.0, sizes=((320, 240),))
    with opened(webcam, Wanted(32, 32, width=1920, height=1080, fps=60)) as source:
        assert source.description == "/dev/video0: 320x240 YUYV at 15 frames/s"


def test_which_device_and_backend() -> None:
    asked = []

    def opener(target: str, backend: int, parameters: Sequence[int]) -> Webcam:
        asked.append((target, backend, tuple(parameters)))
        return Webcam()

    for text in ("0", "12", "/dev/video2", "/dev/v4l/by-id/usb-046d_C920"):
        V4l2(open_capture=opener).open(text, WANTED)
    targets = ["/dev/video0", "/dev/video12", "/dev/video2", "/dev/v4l/by-id/usb-046d_C920"]
    assert asked == [(target, cv2.CAP_V4L2, ()) for target in targets]


def test_frames_have_the_drivers_time_where_it_can_be_right() -> None:
    with opened(Webcam()) as source:
        taken_ns = [frame.captured_ns for frame in islice(source, 11)]
    spans = np.diff(taken_ns) / 1e6  # of the driver: multiples of 5 ms, whenever the frames were read
    assert np.abs(spans / 5 - np.rint(spans / 5)).max() < 1e-3


@pytest.mark.parametrize("ahead_s", [3600, -3600, 1.7e9])
def test_a_driver_with_another_clock_is_not_believed(ahead_s: float) -> None:
    with opened(Webcam(clock_ns=round(ahead_s * 1e9))) as source:
        for frame in islice(source, 3):
            assert 0 <= time.monotonic_ns() - frame.captured_ns < 2e9


def test_who_reads_late_gets_frames_that_are_no_older_than_the_buffers() -> None:
    """With the two buffers that are asked for, of 30 frames that came meanwhile the first two were kept."""
    webcam = Webcam()
    with opened(webcam) as source:
        frames = iter(source)
        next(frames)
        time.sleep(0.15)
        list(islice(frames, 4))
    assert webcam.dropped >= 20


@pytest.mark.parametrize("kind", ["nothing", "vanish"])
def test_a_camera_that_is_lost_is_a_device_error(kind: str) -> None:
    webcam = Webcam(fault=read_fault(f"{kind}@5"), patient=True)
    with opened(webcam) as source:
        frames, said = read_until(source, DeviceError)
    assert len(frames) == 5
    assert said.startswith("/dev/video0: the camera is lost")
    assert webcam.released


class Stuttering(Webcam):
    """Every second frame is empty or short, as the first one of many webcams is, and in the end all are."""

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        given, data = super().retrieve()
        self.reads = getattr(self, "reads", 0) + 1
        short = np.zeros((1, 0 if self.offers == ("MJPG",) else 320 * 240), np.uint8)
        return given, short if self.reads % 2 or self.reads > 40 else data


@pytest.mark.parametrize("pixels", ["MJPG", "YUYV"])
def test_a_broken_frame_is_passed_over_and_many_are_a_lost_camera(pixels: str) -> None:
    with opened(Stuttering((pixels,))) as source:
        frames, _ = read_until(source, DeviceError)
    assert len(frames) == 20
    assert all(decode(frame).shape == (240, 320, 3) for frame in frames)


def test_repeated_frames_are_told_by_nothing_but_their_bytes() -> None:
    with opened(Webcam(fault=read_fault("repeat@2"), patient=True)) as source:
        frames = list(islice(source, 6))
    assert all(np.array_equal(frame.data, frames[2].data) for frame in frames[2:])
    assert not np.array_equal(frames[1].data, frames[2].data)
    assert len({frame.captured_ns for frame in frames}) == 6


def test_a_camera_that_blocks_never_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Exception):
        pass

    def sleep(seconds: float) -> None:
        if seconds > 60:
            raise Stuck

    with opened(Webcam(fault=read_fault("block@3"), patient=True)) as source:
        frames = iter(source)
        for _ in range(3):
            next(frames)
        monkeypatch.setattr(v4l2_double.time, "sleep", sleep)
        with pytest.raises(Stuck):
            next(frames)


def test_a_format_that_nobody_converts_is_named() -> None:
    webcam = Webcam(("Y16X",))
    with pytest.raises(DeviceError, match="pixel format 'Y16X' is none that OpenCV converts"):
        opened(webcam)
    assert webcam.released


def test_a_camera_that_does_not_open_says_which_there_are() -> None:
    webcam = Webcam(opened=False)
    with pytest.raises(DeviceError, match=r"^/dev/video\d+: "):
        V4l2(open_capture=lambda target, backend, parameters: webcam).open("97", WANTED)
    assert webcam.released


def test_opencv_itself_without_a_camera(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert not os.path.exists("/dev/video97")
    with pytest.raises(DeviceError, match=r"^/dev/video97: there is no such camera; (there are|this machine knows)"):
        SOURCE.open("97", WANTED)
    with pytest.raises(DeviceError, match=r"^/dev/null: gives no pictures through V4L2: another program may hold it"):
        SOURCE.open("/dev/null", WANTED)
    assert capfd.readouterr().err == ""


def test_the_double_is_found_by_another_process() -> None:
    code = (
        "import sys\n"
        "from edgecnn.edge.camera.sources import Wanted, find_kind\n"
        "with find_kind(sys.argv[2], [sys.argv[1]]).open(sys.argv[2], Wanted(32, 32)) as source:\n"
        "    print(source.description, len([frame for frame, _ in zip(source, range(3))]))\n"
    )
    arguments = [f"{v4l2_double.__name__}:SOURCE", "double://YUYV?fps=100&fault=vanish@100"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "/dev/video0: 640x480 YUYV at 100 frames/s 3\n"
