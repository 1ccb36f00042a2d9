"""picamera.py before a module that behaves as picamera2 does (raspberrypi/picamera2, picamera2.py and request.py)."""

from __future__ import annotations

import sys
import time
import types
from itertools import islice
from typing import Any

import numpy as np
import pytest

from edgecnn.edge.camera.clock import asleep_ns
from edgecnn.edge.camera.frames import decode
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.camera.sources.picamera import SOURCE
from edgecnn.errors import DeviceError, UsageError
from tests.edge.camera.reading import read_until
from tests.edge.camera.v4l2_double import SCENES, scene

WANTED = Wanted(96, 96)
IN_MEMORY = {"BGR888": slice(None), "RGB888": slice(None, None, -1)}
"""Format -> the order in which red, green and blue lie in memory (The Picamera2 Library, appendix A)."""


class Request:
    """A frame in one of the camera's buffers; it has to be given back."""

    def __init__(self, camera: Camera, number: int) -> None:
        self._camera, self._number = camera, number

    def make_array(self, name: str) -> np.ndarray:
        stream = self._camera.configured[name]
        picture = scene(*stream["size"])[self._number % SCENES]
        return np.ascontiguousarray(picture[:, :, IN_MEMORY[stream["format"]]])

    def get_metadata(self) -> dict[str, Any]:
        stamp_ns = time.monotonic_ns() - 8_000_000 + self._camera.clock_ns
        return {"SensorTimestamp": stamp_ns, "ExposureTime": 8000} if self._camera.stamps else {}

    def release(self) -> None:
        self._camera.free += 1


class Camera:
    """picamera2.Picamera2."""

    attached: tuple[dict[str, Any], ...] = ({"Model": "imx708", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"},)
    busy = False
    stamps, clock_ns = True, 0
    ends_after: int | None = None
    sensor_resolution = (4608, 2592)
    opened: list[Camera]

    def __init__(self, camera_num: int = 0) -> None:
        if not self.attached:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        _ = self.attached[camera_num]
        self.number, self.started, self.closed, self.frames = camera_num, False, False, 0
        self.opened.append(self)

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return list(cls.attached)

    def create_video_configuration(
        self, main: dict[str, Any], raw: dict[str, Any], controls: dict[str, Any], buffer_count: int = 6
    ) -> dict[str, Any]:
        width, height = main["size"]
        assert not width % 2, "align_stream rounds odd sizes down"
        assert not height % 2, "align_stream rounds odd sizes down"
        return {"main": dict(main), "raw": dict(raw), "controls": controls, "buffer_count": buffer_count}

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configured, self.free = configuration, configuration["buffer_count"]

    def camera_configuration(self) -> dict[str, Any]:
        return self.configured

    def start(self) -> None:
        if self.busy:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        self.started = True

    def capture_request(self) -> Request:
        assert self.started
        assert self.free, "every buffer is out: the real one waits for ever"
        if self.frames == self.ends_after:
            raise RuntimeError("Camera frontend has timed out!")
        self.free -= 1
        self.frames += 1
        return Request(self, self.frames - 1)

    def close(self) -> None:
        self.started, self.closed = False, True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    """A class of the test's own, in the place of picamera2's."""

    class Attached(Camera):
        opened: list[Camera] = []  # noqa: RUF012 - of this class alone

    module = types.ModuleType("picamera2")
    module.Picamera2 = Attached  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Attached


def test_frames_are_rgb_and_every_buffer_is_given_back(camera: type[Camera]) -> None:
    with SOURCE.open("picamera://0", WANTED) as source:
        assert source.live
        for number, frame in enumerate(islice(source, 20)):
            assert np.array_equal(decode(frame), scene(640, 480)[number])
        (opened,) = camera.opened
        assert opened.free == opened.configured["buffer_count"]
    assert opened.closed


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        (Wanted(96, 96), (640, 480)),
        (Wanted(480, 640), (640, 480)),
        (Wanted(600, 600), (800, 600)),
        (Wanted(96, 96, width=321, height=241), (322, 242)),
    ],
)
def test_the_isp_scales_to_what_is_needed(camera: type[Camera], wanted: Wanted, size: tuple[int, int]) -> None:
    with SOURCE.open("picamera://", wanted) as source:
        assert source.description == f"picamera://: {size[0]}x{size[1]} RGB at 30 frames/s"
    (opened,) = camera.opened
    assert opened.configured["main"]["size"] == size
    assert opened.configured["raw"]["size"] == (2304, 1296)  # all of the sensor, pixels joined by four
    assert opened.configured["controls"] == {"FrameDurationLimits": (33333, 33333)}


@pytest.mark.parametrize(
    ("stamps", "clock_ns", "age_ms"),
    [
        (True, 0, 8),  # as Raspberry Pi's drivers have it: CLOCK_MONOTONIC
        (True, "asleep", 8),  # as libcamera documents it: CLOCK_BOOTTIME
        (True, 3_600_000_000_000, 0),  # something else
        (False, 0, 0),
    ],
)
def test_the_sensors_time_is_taken_where_it_can_be_right(
    camera: type[Camera], monkeypatch: pytest.MonkeyPatch, stamps: bool, clock_ns: int | str, age_ms: float
) -> None:
    monkeypatch.setattr("edgecnn.edge.camera.sources.picamera.asleep_ns", lambda: asleep_ns() + 500_000_000_000)
    camera.stamps, camera.clock_ns = stamps, 500_000_000_000 if clock_ns == "asleep" else int(clock_ns)
    with SOURCE.open("picamera://0", WANTED) as source:
        before_ns = time.monotonic_ns()
        frame = next(iter(source))
        after_ns = time.monotonic_ns()
    assert before_ns <= frame.captured_ns + age_ms * 1e6 <= after_ns


def test_a_camera_that_is_lost_is_a_device_error(camera: type[Camera]) -> None:
    camera.ends_after = 3
    with SOURCE.open("picamera://0", WANTED) as source:
        frames, said = read_until(source, DeviceError)
    assert len(frames) == 3
    assert said == "picamera://0: the camera is lost (Camera frontend has timed out!)"


def test_what_does_not_open_says_what_there_is(camera: type[Camera]) -> None:
    with pytest.raises(DeviceError, match=r"^picamera://3: does not start.*not one of picamera://0 \(imx708\)"):
        SOURCE.open("picamera://3", WANTED)
    camera.busy = True
    with pytest.raises(DeviceError, match=r"does not start .Failed to acquire camera.*another program may hold it"):
        SOURCE.open("picamera://0", WANTED)
    assert all(opened.closed for opened in camera.opened)
    camera.attached = ()
    with pytest.raises(DeviceError, match="finds no camera; check the ribbon cable"):
        SOURCE.open("picamera://0", WANTED)
    with pytest.raises(UsageError, match="they are numbered"):
        SOURCE.open("picamera://front", WANTED)


def test_without_picamera2_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(UsageError, match=r"^picamera://0 needs picamera2 .*apt install python3-picamera2.*system-site"):
        SOURCE.open("picamera://0", WANTED)
