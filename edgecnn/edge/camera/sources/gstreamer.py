"""Pipelines of GStreamer: `csi://0` is the camera on a Jetson's ribbon cable, `gst:PIPELINE` any other.

OpenCV takes the frames at the pipeline's end. Its appsink keeps the newest frame alone and waits for no clock, so that
nothing is queued. The OpenCV that pip installs is built without GStreamer; those of JetPack and Debian are.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.edge.camera.addresses import has_scheme, shown
from edgecnn.edge.camera.devices import cameras, others
from edgecnn.edge.camera.opencv import LiveStream, Opener, need, open_capture
from edgecnn.edge.camera.sources import Wanted
from edgecnn.errors import DeviceError, UsageError

SINK = "appsink drop=true max-buffers=1 sync=false"
TO_BGR = f"videoconvert ! video/x-raw,format=BGR ! {SINK}"
CURE = "sudo apt install python3-opencv, in a venv made with --system-site-packages and without opencv-python-headless"
WIDTH, HEIGHT, FPS = 1280, 720, 30


@dataclass(frozen=True)
class GStreamer:
    """`open_capture` is OpenCV's; tests give one that behaves alike."""

    name: str = "gstreamer"
    usage: str = "csi://0 (Jetson) or gst:PIPELINE"
    open_capture: Opener = open_capture

    def claims(self, text: str) -> bool:
        """csi:// and gst:"""
        return has_scheme(text, "csi") or text.lower().startswith("gst:")

    def open(self, text: str, wanted: Wanted) -> LiveStream:
        """UsageError where this OpenCV knows no GStreamer."""
        import cv2

        line = csi_pipeline(text, wanted) if has_scheme(text, "csi") else pipeline(text)
        if self.open_capture is open_capture:
            need(cv2.CAP_GSTREAMER, "GStreamer", shown(text), CURE)
        capture = self.open_capture(line, cv2.CAP_GSTREAMER, ())
        if not capture.isOpened():
            capture.release()
            raise DeviceError(
                f"{shown(text)}: GStreamer did not start the pipeline; `gst-launch-1.0 {shown(line)}` says why; "
                f"{others(cameras())}"
            )
        return LiveStream(capture, shown(text))


def csi_pipeline(text: str, wanted: Wanted) -> str:
    """The pipeline for csi://NUMBER: the ISP scales, nothing is converted before. UsageError for another number."""
    number = text[len("csi://") :] or "0"
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"{text}: is no camera on a ribbon cable; they are numbered: csi://0")
    width, height = wanted.width or WIDTH, wanted.height or HEIGHT
    rate = round(wanted.fps or FPS)
    return (
        f"nvarguscamerasrc sensor-id={number} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height},framerate={rate}/1 ! "
        f"nvvidconv ! video/x-raw,format=BGRx ! {TO_BGR}"
    )


def pipeline(text: str) -> str:
    """The pipeline of gst:PIPELINE; one that has no appsink gets ours. UsageError for an empty one."""
    line = text[len("gst:") :].strip().rstrip("!").strip()
    if not line:
        raise UsageError("gst: needs a pipeline, such as 'gst:videotestsrc'")
    return line if "appsink" in line else f"{line} ! {TO_BGR}"


SOURCE = GStreamer()
