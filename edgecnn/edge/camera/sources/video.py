"""A video file, at its own pace or as fast as it can be decoded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import TracebackType

from edgecnn.edge.camera.addresses import is_path
from edgecnn.edge.camera.clock import Pace
from edgecnn.edge.camera.frames import Captured
from edgecnn.edge.camera.opencv import FFMPEG_CURE, Capture, frame_size, need, open_capture
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile

FPS = 30.0
"""For a file that says none, or an impossible one."""
WHOLE = 0.9
"""A file that ends before this share of its frames and of its time, by its own header, was cut off."""


class VideoSource:
    """A video whose first frame could be decoded."""

    live = False

    def __init__(self, path: str, wanted: Wanted) -> None:
        import cv2

        self._path, self._wanted, self._pace = path, wanted, Pace()
        self._capture = _open(path)
        self._frames = max(0.0, self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if 0 < fps <= 1000 else FPS
        width, height = frame_size(self._capture)
        self.description = f"{path}: {width}x{height} at {self._fps:g} frames/s, {self._frames / self._fps:.1f} s"

    def __iter__(self) -> Iterator[Captured]:
        started_s = 0.0
        while True:
            count, at_s = 0, 0.0
            while self._capture.grab():
                at_s = self._position_s(count, at_s)
                given, frame = self._capture.retrieve()
                if not given or frame is None:
                    break
                now_ns = time.monotonic_ns() if self._wanted.fast else self._pace.wait(started_s + at_s)
                yield Captured(frame, "bgr", now_ns)
                count += 1
            self._check_whole(count, at_s)
            if not self._wanted.loop:
                return
            started_s += at_s + 1 / self._fps
            self._capture.release()
            self._capture = _open(self._path)

    def _position_s(self, count: int, before_s: float) -> float:
        """When the frame that was grabbed is due: by its time stamp, or by its number where stamps don't go forward."""
        import cv2

        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        if count == 0:
            return 0.0
        return stamp_s if stamp_s > before_s else before_s + 1 / self._fps

    def _check_whole(self, count: int, at_s: float) -> None:
        if count == 0 or (count < WHOLE * self._frames and at_s < WHOLE * self._frames / self._fps):
            raise UnusableFile(
                f"{self._path}: the video is damaged or cut off after frame {count:,} of {self._frames:,.0f}; "
                "get it anew"
            )

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()


def _open(path: str) -> Capture:
    import cv2

    capture = open_capture(path, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture.release()
        raise UnusableFile(f"{path}: is no video that FFmpeg can read; convert it to MP4 (H.264)")
    return capture


class Video:
    """Any file that is no picture; what it is, FFmpeg finds out."""

    name = "video"
    usage = "VIDEO.mp4"

    def claims(self, text: str) -> bool:
        """A file, or a path that looks like one and does not exist."""
        suffix = os.path.splitext(text)[1].lower()
        if not is_path(text) or suffix in SUFFIXES:
            return False
        return os.path.isfile(text) or (not os.path.exists(text) and bool(suffix) and not text.endswith("/"))

    def open(self, text: str, wanted: Wanted) -> VideoSource:
        """UnusableFile where it is missing, empty or no video."""
        import cv2

        need(cv2.CAP_FFMPEG, "FFmpeg", text, FFMPEG_CURE)
        try:
            size = os.stat(text).st_size
        except OSError as error:
            raise UnusableFile(f"{text}: can't be read ({error.strerror})") from error
        if not size:
            raise UnusableFile(f"{text}: the file is empty; get it anew")
        return VideoSource(text, wanted)


SOURCE = Video()
