"""Cameras of Linux: a USB webcam as `0` or /dev/video2. Frames come as the camera made them, and are decoded once.

Left to itself, OpenCV asks for raw pixels (USB 2 carries 640x480 of them, and little more) and converts every frame to
BGR, also those that are dropped. So MJPEG is asked for and conversion is turned off: then retrieve() gives what lies in
the driver's buffer (OpenCV, modules/videoio/src/cap_v4l.cpp), in some versions as rows of pixels, in some as [1, N]
bytes whatever they are. NV12 is converted here, since OpenCV up to 4.10 swaps its red and blue (opencv/opencv#26081).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge.camera.clock import captured_ns
from edgecnn.edge.camera.devices import cameras, why_not
from edgecnn.edge.camera.frames import Captured
from edgecnn.edge.camera.opencv import Capture, Opener, frame_size, open_capture
from edgecnn.edge.camera.sources import Wanted
from edgecnn.errors import DeviceError

WIDTH, HEIGHT, FPS = 640, 480, 30.0
BUFFERS = 2
"""One is filled while the other is read; with more, frames wait and grow old."""
BROKEN = 10
"""So many empty or short frames in a row are a camera that is lost; one, such as the first of some, is passed over."""
RAW = ("MJPG", "JPEG", "YUYV", "NV12", "NV21")
"""What is taken as the driver gives it; OpenCV converts the rest."""


class V4l2Source:
    """A camera that is open, its format agreed."""

    live = True

    def __init__(self, capture: Capture, path: str, pixels: str) -> None:
        import cv2

        self._capture, self._path, self._pixels = capture, path, pixels
        self._size = width, height = frame_size(capture)
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.description = f"{path}: {width}x{height} {pixels}" + (f" at {rate:g} frames/s" if rate > 0 else "")

    def __iter__(self) -> Iterator[Captured]:
        import cv2

        broken = 0
        while self._capture.grab() and broken < BROKEN:
            now_ns = time.monotonic_ns()
            stamp_ns = self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6  # the driver's, on the monotonic clock for most
            given, data = self._capture.retrieve()
            frame = self._captured(data, captured_ns(now_ns, stamp_ns)) if given and data is not None else None
            if frame is None:
                broken += 1
                continue
            broken = 0
            yield frame
        raise DeviceError(f"{self._path}: the camera is lost: it gives no frames any more; see that it is plugged in")

    def _captured(self, data: NDArray[Any], at_ns: int) -> Captured | None:
        """The frame, or None where bytes are missing."""
        if self._pixels in ("MJPG", "JPEG"):
            return Captured(data.reshape(-1), "jpeg", at_ns) if data.size else None
        width, height = self._size
        shapes = {"YUYV": (height, width, 2), "NV12": (height * 3 // 2, width), "NV21": (height * 3 // 2, width)}
        shape = shapes.get(self._pixels, (height, width, 3))
        if data.size < math.prod(shape):
            return None
        data = data.reshape(-1)[: math.prod(shape)].reshape(shape)
        if self._pixels == "YUYV":
            return Captured(data, "yuyv", at_ns)
        return Captured(data, "bgr", at_ns) if len(shape) == 3 else Captured(_rgb(data, self._pixels), "rgb", at_ns)

    def __enter__(self) -> V4l2Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()


def _rgb(planes: NDArray[Any], pixels: str) -> NDArray[np.uint8]:
    """NV12 or NV21 [H * 3 / 2, W] as RGB [H, W, 3]."""
    import cv2

    return np.asarray(cv2.cvtColor(planes, getattr(cv2, f"COLOR_YUV2RGB_{pixels}")), np.uint8)


@dataclass(frozen=True)
class V4l2:
    """`open_capture` is OpenCV's; tests give one that behaves alike."""

    name: str = "v4l2"
    usage: str = "0 or /dev/video0"
    open_capture: Opener = open_capture

    def claims(self, text: str) -> bool:
        """A number, or a path in /dev: also the lasting names in /dev/v4l/by-id."""
        return (text.isascii() and text.isdigit()) or text.startswith("/dev/")

    def open(self, text: str, wanted: Wanted) -> V4l2Source:
        """MJPEG, 640x480, 30 frames/s or what is wanted; the camera gives what it has."""
        import cv2

        path = f"/dev/video{int(text)}" if text.isdigit() else text
        capture = self.open_capture(path, cv2.CAP_V4L2, ())
        try:
            if not capture.isOpened():
                raise DeviceError(why_not(path, cameras()))
            return V4l2Source(capture, path, _agree(capture, path, wanted))
        except BaseException:
            capture.release()
            raise


def _agree(capture: Capture, path: str, wanted: Wanted) -> str:
    """Ask for format, size and rate, in the order in which the first limits the others; the pixel format agreed on."""
    import cv2

    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.width or WIDTH)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.height or HEIGHT)
    capture.set(cv2.CAP_PROP_FPS, wanted.fps or FPS)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, BUFFERS)
    pixels = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").strip("\0 ")
    if not capture.set(cv2.CAP_PROP_CONVERT_RGB, 0.0 if pixels in RAW else 1.0):
        raise DeviceError(
            f"{path}: its pixel format '{pixels}' is none that OpenCV converts; what it offers, "
            f"`v4l2-ctl -d {path} --list-formats-ext` shows"
        )
    return pixels


SOURCE = V4l2()
