"""A webcam that is not there, behaving as OpenCV's V4L2 capture does (modules/videoio/src/cap_v4l.cpp).

    double://MJPG?fps=30&fault=block@100      or YUYV, NV12, BGR3 (which OpenCV converts), Y16X (which nobody can)

Another process finds it by its place, `tests.edge.camera.v4l2_double:SOURCE` (`find_kind`). The frames are the fake
source's scene, encoded as webcams do: 4:2:2, without Huffman tables, the buffer's rest filled up. The driver has as
many buffers as it was asked for; while all are full, frames are lost.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.edge.camera.scenery import Scenery
from edgecnn.edge.camera.sources import Source, Wanted
from edgecnn.edge.camera.sources.fake import Fault, options, read_fault
from edgecnn.edge.camera.sources.v4l2 import V4l2
from edgecnn.edge.pixels import Image

SCENES = 60
"""Different frames; they come again after that. Two in a row are never the same."""
CONVERTED = ("MJPG", "YUYV", "NV12", "BGR3")
"""Formats that OpenCV converts to BGR where it is asked to."""


@cache
def scene(width: int, height: int) -> tuple[Image, ...]:
    """The frames as they were before the camera encoded them: uint8 [H, W, 3] RGB."""
    scenery = Scenery(height, width)
    return tuple(scenery.draw(number) for number in range(SCENES))


@cache
def encoded(pixels: str, width: int, height: int) -> tuple[NDArray[np.uint8], ...]:
    """The frames as they lie in the driver's buffers."""
    encoders = {"MJPG": mjpg, "YUYV": yuyv, "NV12": nv12}
    return tuple(encoders.get(pixels, bgr)(image) for image in scene(width, height))


def mjpg(image: Image) -> NDArray[np.uint8]:
    """[1, N]: a JPEG of 4:2:2 without its Huffman tables, and zeros behind it."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]
    content = without_tables(cv2.imencode(".jpg", image[:, :, ::-1], settings)[1].tobytes())
    return np.frombuffer(content + bytes(16), np.uint8).reshape(1, -1)


def without_tables(jpeg: bytes) -> bytes:
    """The same JPEG without its DHT segments (ITU-T T.81, B.2.4.2), as MJPEG has it."""
    kept, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", jpeg, at + 2)
        if jpeg[at + 1] != 0xC4:
            kept += jpeg[at : at + 2 + length]
        at += 2 + length
    return kept + jpeg[at:]


def yuyv(image: Image) -> NDArray[np.uint8]:
    """[H, W, 2]: BT.601, of limited range; two pixels share the first one's colour."""
    y, u, v = (np.rint(plane) for plane in ycbcr(image))
    pairs = np.stack([u[:, ::2], v[:, ::2]], axis=-1).reshape(y.shape)
    return np.stack([y, pairs], axis=-1).astype(np.uint8)


def nv12(image: Image) -> NDArray[np.uint8]:
    """[H * 3 / 2, W]: the luma, then half of both colours, U and V in turn."""
    y, u, v = (np.rint(plane) for plane in ycbcr(image))
    pairs = np.stack([u[::2, ::2], v[::2, ::2]], axis=-1).reshape(y.shape[0] // 2, -1)
    return np.concatenate([y, pairs]).astype(np.uint8)


def bgr(image: Image) -> NDArray[np.uint8]:
    """[H, W, 3]"""
    return np.ascontiguousarray(image[:, :, ::-1])


def ycbcr(image: Image) -> tuple[NDArray[Any], ...]:
    """Y, Cb, Cr of R'G'B' by ITU-R BT.601-7: Y from 16 to 235, colours from 16 to 240; three of float64 [H, W]."""
    red, green, blue = (image[:, :, channel] / 255 for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return 16 + 219 * luma, 128 + 224 * (blue - luma) / 1.772, 128 + 224 * (red - luma) / 1.402


@dataclass
class Webcam:
    """The part of cv2.VideoCapture that sources use, before a camera that has the formats `offers`."""

    offers: tuple[str, ...] = ("MJPG", "YUYV")
    fault: Fault = field(default_factory=lambda: read_fault(None))
    rate: float | None = None
    opened: bool = True
    sizes: tuple[tuple[int, int], ...] = ((640, 480), (320, 240), (1280, 720))
    clock_ns: int = 0
    """What the driver's clock is ahead of the monotonic one."""
    flat: bool = False
    """Unconverted frames are [1, N] bytes, as some versions of OpenCV have it."""
    patient: bool = False
    """No frame is lost while all buffers are full, it comes later: for tests that count, on a busy machine."""

    def __post_init__(self) -> None:
        self._pixels, self._convert, self._buffers = self.offers[0], True, 4  # as OpenCV opens it
        self._size, self._asked, self._fps = self.sizes[0], dict[int, float](), self.rate or 30.0
        self.released, self.dropped = False, 0
        self._reset()

    # --- what OpenCV has ---------------------------------------------------------------------------------------------

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opened

    def set(self, property: int, value: float) -> bool:
        if property == cv2.CAP_PROP_CONVERT_RGB:
            self._convert = bool(value) and self._pixels in CONVERTED
            return self._convert == bool(value)
        if property == cv2.CAP_PROP_FOURCC:
            asked = int(value).to_bytes(4, "little").decode()
            self._pixels = asked if asked in self.offers else self.offers[0]  # what it can't, OpenCV does not force
        elif property == cv2.CAP_PROP_BUFFERSIZE:
            self._buffers = int(value)
        elif property == cv2.CAP_PROP_FPS:
            self._fps = self.rate or value
        else:
            self._asked[property] = value
            if {cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT} <= set(self._asked):  # both: then it is done
                asked_size = (self._asked[cv2.CAP_PROP_FRAME_WIDTH], self._asked[cv2.CAP_PROP_FRAME_HEIGHT])
                self._size = asked_size if asked_size in self.sizes else self.sizes[0]  # type: ignore[assignment]
        self._reset()
        return True

    def get(self, property: int) -> float:
        return {
            cv2.CAP_PROP_FOURCC: float(int.from_bytes(self._pixels.encode(), "little")),
            cv2.CAP_PROP_FRAME_WIDTH: float(self._size[0]),
            cv2.CAP_PROP_FRAME_HEIGHT: float(self._size[1]),
            cv2.CAP_PROP_FPS: self._fps,
            cv2.CAP_PROP_BUFFERSIZE: float(self._buffers),
            cv2.CAP_PROP_POS_MSEC: self._stamp_ns / 1e6,
        }.get(property, -1.0)

    def grab(self) -> bool:
        if self._start_ns is None:
            encoded(self._pixels, *self._size)
            self._start_ns = time.monotonic_ns()
        self._grabbed = None  # a buffer that was grabbed and not retrieved goes back to the driver
        self._fill()
        while not self._queue:
            if self._fails("block"):
                time.sleep(3600)
            if self._fails("nothing", "vanish"):
                return False  # after select() has timed out, or with ENODEV
            time.sleep(max(0, self._due_ns(self._next) - time.monotonic_ns()) / 1e9)
            self._fill()
        self._grabbed = self._queue.popleft()
        self._stamp_ns = self._due_ns(self._grabbed) + self.clock_ns
        return True

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        if self._grabbed is None:
            return False, None
        self._fill()
        number, self._grabbed = self._grabbed, None
        if self.fault.kind == "repeat":
            number = min(number, self.fault.frame)
        if self._convert:
            return True, bgr(scene(*self._size)[number % SCENES])
        data = encoded(self._pixels, *self._size)[number % SCENES].copy()
        return True, data.reshape(1, -1) if self.flat else data

    def release(self) -> None:
        self.released = True

    # --- the driver --------------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        """Streaming stops, and begins anew with the next grab."""
        self._start_ns: int | None = None
        self._queue, self._grabbed, self._next, self._stamp_ns = deque[int](), None, 0, 0

    def _due_ns(self, number: int) -> int:
        assert self._start_ns is not None, "it streams"
        return self._start_ns + round((number + 1) * 1e9 / self._fps)

    def _fill(self) -> None:
        """What has come since: into buffers, while there are empty ones."""
        while self._due_ns(self._next) <= time.monotonic_ns() and not self._fails("block", "nothing", "vanish"):
            if len(self._queue) + (self._grabbed is not None) < self._buffers:
                self._queue.append(self._next)
            elif self.patient:
                return
            else:
                self.dropped += 1
            self._next += 1

    def _fails(self, *kinds: str) -> bool:
        return self.fault.kind in kinds and self._next >= self.fault.frame


class V4l2Double:
    """The V4L2 kind before such a webcam."""

    name = "v4l2 double"
    usage = "double://MJPG"

    def claims(self, text: str) -> bool:
        return text.startswith("double://")

    def open(self, text: str, wanted: Wanted) -> Source:
        said = options(text, ("fps", "fault"))
        pixels = text.removeprefix("double://").partition("?")[0]
        webcam = Webcam((pixels,), read_fault(said.get("fault")), float(said["fps"]) if "fps" in said else None)

        def opener(target: str, backend: int, parameters: Sequence[int] = ()) -> Webcam:
            assert (target, backend) == ("/dev/video0", cv2.CAP_V4L2)
            return webcam

        return V4l2(open_capture=opener).open("/dev/video0", wanted)


SOURCE = V4l2Double()
