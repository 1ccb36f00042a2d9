"""gstreamer.py: the pipelines, a capture that plays GStreamer's part, and this OpenCV, which has none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import cv2
import numpy as np
import pytest

from edgecnn.edge.camera.frames import decode
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.camera.sources.gstreamer import SOURCE, GStreamer, csi_pipeline, pipeline
from edgecnn.errors import DeviceError, UsageError
from tests.edge.camera.v4l2_double import Webcam, read_fault, scene

WANTED = Wanted(96, 96)
BUILT_IN = cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)


def played(text: str, webcam: Webcam) -> tuple[GStreamer, list[tuple[str, int]]]:
    asked = []

    def opener(target: str, backend: int, parameters: Sequence[int]) -> Webcam:
        asked.append((target, backend))
        return webcam

    return GStreamer(open_capture=opener), asked


def test_the_jetsons_camera() -> None:
    assert csi_pipeline("csi://1", WANTED) == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 ! "
        "nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! "
        "appsink drop=true max-buffers=1 sync=false"
    )
    assert "width=640,height=360,framerate=60/1" in csi_pipeline("csi://0", Wanted(96, 96, 640, 360, 60.0))
    assert csi_pipeline("csi://", WANTED) == csi_pipeline("csi://0", WANTED)
    for text in ("csi://left", "csi://0 ! fakesink", "csi://-1"):
        with pytest.raises(UsageError, match="they are numbered: csi://0"):
            csi_pipeline(text, WANTED)


def test_a_pipeline_gets_a_sink_that_queues_nothing() -> None:
    sink = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    assert pipeline("gst:videotestsrc") == f"videotestsrc ! {sink}"
    assert pipeline("gst: v4l2src ! decodebin ! ") == f"v4l2src ! decodebin ! {sink}"
    assert pipeline("gst:videotestsrc ! appsink name=own") == "videotestsrc ! appsink name=own"
    with pytest.raises(UsageError, match="needs a pipeline"):
        pipeline("gst: ")


def test_frames_are_the_pipelines_until_it_ends() -> None:
    webcam = Webcam(("BGR3",), read_fault("vanish@4"), rate=200.0, patient=True)
    kind, asked = played("gst:videotestsrc", webcam)
    with kind.open("gst:videotestsrc", WANTED) as source:
        assert source.live
        frames = iter(source)
        for number, frame in enumerate(islice(frames, 4)):
            assert np.array_equal(decode(frame), scene(640, 480)[number])
        with pytest.raises(DeviceError, match=r"^gst:videotestsrc: the stream is lost"):
            next(frames)
    assert webcam.released
    assert asked == [(pipeline("gst:videotestsrc"), cv2.CAP_GSTREAMER)]


def test_a_pipeline_that_does_not_start_shows_no_password() -> None:
    kind, _ = played("", Webcam(opened=False))
    with pytest.raises(DeviceError, match=r"gst-launch-1\.0") as caught:
        kind.open("gst:rtspsrc location=rtsp://a:hunter2@host/x ! decodebin", WANTED)
    assert "hunter2" not in str(caught.value)


def test_the_registry_says_what_the_build_information_says() -> None:
    line = next(line for line in cv2.getBuildInformation().splitlines() if "GStreamer:" in line)
    assert ("YES" in line) == BUILT_IN


@pytest.mark.skipif(BUILT_IN, reason="this OpenCV is built with GStreamer")
@pytest.mark.parametrize("text", ["csi://0", "gst:videotestsrc"])
def test_without_gstreamer_one_sentence_says_what_to_install(text: str) -> None:
    with pytest.raises(UsageError, match=rf"^{text} needs an OpenCV that is built with GStreamer.*python3-opencv"):
        SOURCE.open(text, WANTED)
