"""Cameras on the network: RTSP, and MJPEG (or whatever FFmpeg knows) over HTTP, through OpenCV's FFmpeg."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from edgecnn.edge.camera.addresses import has_scheme, shown
from edgecnn.edge.camera.opencv import FFMPEG_CURE, LiveStream, need, open_capture
from edgecnn.edge.camera.sources import Wanted
from edgecnn.errors import DeviceError

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
OPEN_MS, READ_MS = 10_000, 4_000
"""FFmpeg's own timeouts; without them it waits for a dead host for ever."""


class Network:
    """What is shown of an address never has its user and password."""

    name = "network"
    usage = "rtsp://HOST/PATH or http://HOST/PATH"

    def claims(self, text: str) -> bool:
        """By the scheme."""
        return has_scheme(text, *PORTS)

    def open(self, text: str, wanted: Wanted) -> LiveStream:
        """The stream decides on size and rate; what is wanted does not change it."""
        import cv2

        need(cv2.CAP_FFMPEG, "FFmpeg", shown(text), FFMPEG_CURE)
        timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS)
        capture = open_capture(text, cv2.CAP_FFMPEG, timeouts)
        if not capture.isOpened():
            capture.release()
            raise DeviceError(_why_not(text))
        return LiveStream(capture, shown(text))


def _why_not(text: str) -> str:
    """One sentence for a stream that did not open: FFmpeg does not say why; a connection of our own tells a part."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        with socket.create_connection((host, port), timeout=2):
            pass
    except ValueError:
        return f"{shown(text)}: is no address that can be read; write it as {Network.usage}"
    except OSError as error:
        reason = error.strerror or str(error)
        return f"{shown(text)}: {host}:{port} does not answer ({reason}); is the camera on, and in this network?"
    return (
        f"{shown(text)}: {host}:{port} answers, but FFmpeg finds no video there; check the path, "
        "and user and password (rtsp://USER:PASSWORD@HOST/PATH)"
    )


SOURCE = Network()
