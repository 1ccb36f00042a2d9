"""A Raspberry Pi's own camera through picamera2, whose ISP scales the sensor's picture before it reaches memory.

picamera2 comes from Raspberry Pi OS (apt, not pip): it belongs to the system's libcamera. Its formats are named from
the last byte to the first, as DRM does: `BGR888` lies in memory as R, G, B (The Picamera2 Library, appendix A), so no
colours are converted here.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from edgecnn.edge.camera.addresses import has_scheme
from edgecnn.edge.camera.clock import asleep_ns, captured_ns
from edgecnn.edge.camera.frames import Captured
from edgecnn.edge.camera.sources import Wanted
from edgecnn.errors import DeviceError, UsageError, reason

WIDTH, HEIGHT, FPS = 640, 480, 30.0
"""What is asked for, or more where the model needs more: enough to look at, and little to scale down to the model."""
BUFFERS = 4


class PiCameraSource:
    """A camera that is started."""

    live = True

    def __init__(self, camera: Any, text: str, fps: float) -> None:
        self._camera, self._text = camera, text
        width, height = camera.camera_configuration()["main"]["size"]
        self.description = f"{text}: {width}x{height} RGB at {fps:g} frames/s"

    def __iter__(self) -> Iterator[Captured]:
        while True:
            try:
                request = self._camera.capture_request()
                try:
                    now_ns = time.monotonic_ns()
                    data, stamp_ns = request.make_array("main"), request.get_metadata().get("SensorTimestamp", 0)
                finally:
                    request.release()  # without it, the camera runs out of buffers
            except (RuntimeError, OSError) as error:
                raise DeviceError(f"{self._text}: the camera is lost ({reason(error)})") from error
            # libcamera says CLOCK_BOOTTIME, its drivers stamp with CLOCK_MONOTONIC; they differ by what was slept
            yield Captured(data, "rgb", captured_ns(now_ns, stamp_ns - asleep_ns(), stamp_ns))

    def __enter__(self) -> PiCameraSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.close()


class PiCamera:
    """Cameras are numbered as `rpicam-hello --list-cameras` shows them."""

    name = "picamera"
    usage = "picamera://0"

    def claims(self, text: str) -> bool:
        """By the scheme."""
        return has_scheme(text, "picamera")

    def open(self, text: str, wanted: Wanted) -> PiCameraSource:
        """UsageError without picamera2; DeviceError where there is no such camera, or another program has it."""
        number = text[len("picamera://") :] or "0"
        if not (number.isascii() and number.isdigit()):
            raise UsageError(f"{text}: is no camera of a Raspberry Pi; they are numbered: picamera://0")
        library = _library(text)
        fps = wanted.fps or FPS
        camera = None
        try:
            camera = library.Picamera2(int(number))
            camera.configure(_configuration(camera, wanted, fps))
            camera.start()
            return PiCameraSource(camera, text, fps)
        except (RuntimeError, IndexError, OSError) as error:
            if camera is not None:
                camera.close()
            raise DeviceError(_why_not(text, library, error)) from error


def _library(text: str) -> Any:
    try:
        return importlib.import_module("picamera2")
    except (ImportError, ValueError) as error:  # ValueError: parts of it were built for another numpy
        raise UsageError(
            f"{text} needs picamera2 ({reason(error)}): sudo apt install python3-picamera2, in a venv made with "
            "--system-site-packages"
        ) from error


def _configuration(camera: Any, wanted: Wanted, fps: float) -> Any:
    """The ISP's output. The sensor is read at half its resolution, which on Raspberry Pi's own is the whole view."""
    sensor_width, sensor_height = camera.sensor_resolution
    frame_us = round(1e6 / fps)
    return camera.create_video_configuration(
        main={"format": "BGR888", "size": _size(wanted)},
        raw={"size": (sensor_width // 2, sensor_height // 2)},
        controls={"FrameDurationLimits": (frame_us, frame_us)},
        buffer_count=BUFFERS,
    )


def _size(wanted: Wanted) -> tuple[int, int]:
    """Width and height, even numbers: those wanted, or 640x480, or as much more as the model needs."""
    scale = max(1.0, wanted.model_width / WIDTH, wanted.model_height / HEIGHT)
    width, height = wanted.width or round(WIDTH * scale), wanted.height or round(HEIGHT * scale)
    return width + width % 2, height + height % 2


def _why_not(text: str, library: Any, error: Exception) -> str:
    """One sentence; libcamera's own reason where there are cameras and this one does not start."""
    found = [f"picamera://{number} ({info.get('Model', '?')})" for number, info in enumerate(_found(library))]
    if not found:
        return f"{text}: libcamera finds no camera; check the ribbon cable (`rpicam-hello --list-cameras` shows it)"
    return (
        f"{text}: does not start ({reason(error)}); another program may hold it, or it is not one of {', '.join(found)}"
    )


def _found(library: Any) -> list[dict[str, Any]]:
    try:
        return list(library.Picamera2.global_camera_info())
    except RuntimeError:
        return []


SOURCE = PiCamera()
