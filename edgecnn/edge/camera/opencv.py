"""OpenCV's VideoCapture as the sources use it: what it is asked, and a live stream that it decodes by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol

from edgecnn.edge.camera.frames import Captured
from edgecnn.errors import DeviceError, UsageError


class Capture(Protocol):
    """The part of cv2.VideoCapture that sources need; properties are its CAP_PROP_ numbers."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name

    def grab(self) -> bool: ...

    def retrieve(self) -> tuple[bool, Any]: ...

    def get(self, propId: int, /) -> float: ...  # noqa: N803 - OpenCV's name

    def set(self, propId: int, value: float, /) -> bool: ...  # noqa: N803 - OpenCV's name

    def release(self) -> None: ...


Opener = Callable[[str, int, Sequence[int]], Capture]
"""target, OpenCV's number of the backend (CAP_V4L2 ...), properties and their values in turn."""


def open_capture(target: str, backend: int, parameters: Sequence[int] = ()) -> Capture:
    """A VideoCapture, opened or not. What OpenCV and FFmpeg write to stderr is left out: it names no cure, and perhaps
    an address with its password.
    """
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; there is no function for it
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_FATAL)
    return cv2.VideoCapture(target, backend, list(parameters))


def need(backend: int, library: str, asked: str, cure: str) -> None:
    """UsageError where this OpenCV was built without a backend: what was asked for, and what installs another."""
    import cv2

    if not cv2.videoio_registry.hasBackend(backend):
        raise UsageError(
            f"{asked} needs an OpenCV that is built with {library}, which OpenCV {cv2.__version__} here is not: {cure}"
        )


FFMPEG_CURE = "pip install opencv-python-headless"
"""For `need`: it brings its own FFmpeg."""


def frame_size(capture: Capture) -> tuple[int, int]:
    """Width and height, as the capture says them."""
    import cv2

    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


class LiveStream:
    """A stream that OpenCV decodes: BGR frames as they come, until it ends, which is a DeviceError.

    A frame counts as taken when it is decoded: how long it was on its way before, nobody tells.
    """

    live = True

    def __init__(self, capture: Capture, name: str) -> None:
        self._capture, self._name = capture, name
        width, height = frame_size(capture)
        self.description = f"{name}: {width}x{height}"

    def __iter__(self) -> Iterator[Captured]:
        while self._capture.grab():
            now_ns = time.monotonic_ns()
            given, frame = self._capture.retrieve()
            if not given or frame is None:
                break
            yield Captured(frame, "bgr", now_ns)
        raise DeviceError(f"{self._name}: the stream is lost: it ended, or nothing came any more; see that it is on")

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()
