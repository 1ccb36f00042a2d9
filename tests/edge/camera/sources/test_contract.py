"""What every kind of source must do, whichever are in the folder."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.edge.camera.frames import ENCODINGS, decode
from edgecnn.edge.camera.scenery import Scenery
from edgecnn.edge.camera.sources import Kind, Wanted, find_kind, kinds
from edgecnn.errors import EdgecnnError, UsageError
from tests.edge.camera import v4l2_double
from tests.edge.camera.sources.test_network import Camera

KINDS = kinds()
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

# what is written -> the kind that it names, None for nobody
TEXTS = {
    "0": "v4l2",
    "12": "v4l2",
    "/dev/video2": "v4l2",
    "/dev/v4l/by-id/usb-046d": "v4l2",
    "picamera://0": "picamera",
    "picamera://": "picamera",
    "csi://0": "gstreamer",
    "gst:videotestsrc ! appsink": "gstreamer",
    "gst:filesrc location=a/b.mp4 ! decodebin": "gstreamer",
    "rtsp://user:p@ss@10.0.0.7/live.mp4": "network",
    "RTSPS://h/x": "network",
    "http://h/photos/": "network",
    "https://h/a.jpg": "network",
    "a.mp4": "video",
    "gone/a.MOV": "video",
    "cat.jpg": "folder",
    "gone/": "folder",
    "gone/photos": "folder",
    "fake://?fault=block@100": "fake",
    "": None,
    "-1": None,
    "webcam": None,
    "٣": None,  # a digit, but no number of a camera
    "usb://0": None,
    "file:///home/a.mp4": None,
    "a\0b": None,
    "x" * 5000: None,
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20].encode("ascii", "replace").decode())
def test_a_text_names_one_kind_at_most(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    claiming = [kind.name for kind in KINDS.values() if kind.claims(text)]
    assert claiming == ([] if TEXTS[text] is None else [TEXTS[text]])
    if claiming:
        assert find_kind(text).name == TEXTS[text]
    else:
        with pytest.raises(UsageError, match=r"is no source, and no file or folder here; there are .*fake://.*FOLDER"):
            find_kind(text)


@pytest.mark.parametrize("name", ["photos", "photos.d", "0", "a.mp4", "clip", "cat.jpg", "gst", "fake:x"])
@pytest.mark.parametrize("folder", [True, False])
def test_what_exists_is_claimed_by_one_kind(tmp_path: Path, name: str, folder: bool) -> None:
    path = tmp_path / name
    path.mkdir() if folder else path.touch()
    expected = "folder" if folder or name == "cat.jpg" else "video"
    assert [kind.name for kind in KINDS.values() if kind.claims(str(path))] == [expected]


def test_an_unknown_text_shows_no_password() -> None:
    with pytest.raises(UsageError) as caught:
        find_kind("rstp://admin:hunter2@10.0.0.7/live")
    assert "hunter2" not in str(caught.value)


@each_kind
def test_a_kind_says_how_it_is_written(kind: Kind) -> None:
    usage = kind.usage.split(" or ")[0].split(" (")[0]
    assert kind.claims(usage) or kind.name == "folder"  # FOLDER stands for the name of one


def test_a_kind_from_elsewhere_is_found_by_its_place() -> None:
    place = f"{v4l2_double.__name__}:SOURCE"
    assert find_kind("double://MJPG", [place]) is v4l2_double.SOURCE
    with pytest.raises(UsageError, match="no source"):
        find_kind("double://MJPG")


def test_looking_at_texts_loads_nothing_heavy() -> None:
    code = (
        "import sys; from edgecnn.edge.camera.sources import find_kind; find_kind('0'); find_kind('fake://');"
        "print([name for name in ('cv2', 'picamera2', 'torch', 'edgecnn.data') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- open ones: each kind of which there is something on this machine -------------------------------------------------


def _video(folder: Path) -> str:
    writer = cv2.VideoWriter(str(folder / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for number in range(5):
        writer.write(Scenery(48, 64).draw(number))
    writer.release()
    return str(folder / "a.avi")


def _folder(folder: Path) -> str:
    for number in range(5):
        assert cv2.imwrite(str(folder / f"{number}.png"), Scenery(48, 64).draw(number))
    return str(folder)


@pytest.fixture(scope="module")
def stream() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/stream"
        serving.shutdown()


OPEN: dict[str, Callable[[Path], str]] = {
    "fake": lambda folder: "fake://?fps=100&width=64&height=48",
    "folder": _folder,
    "video": _video,
    "network": lambda folder: "",  # the server's address
    "v4l2 double": lambda folder: "double://YUYV?fps=100",
}


@pytest.mark.parametrize("name", OPEN)
def test_an_open_source_gives_frames(name: str, tmp_path: Path, stream: str) -> None:
    kind = v4l2_double.SOURCE if name == "v4l2 double" else KINDS[name]
    text = OPEN[name](tmp_path) or stream
    assert kind.claims(text)
    with kind.open(text, Wanted(32, 32, pictures_per_s=100)) as source:
        assert isinstance(source.live, bool)
        assert source.description
        assert "\n" not in source.description
        frames = []
        for frame in islice(source, 4):
            assert -1e9 < time.monotonic_ns() - frame.captured_ns < 2e9
            frames.append(frame)
    assert len(frames) == 4
    for frame in frames:
        assert frame.encoding in ENCODINGS
        assert frame.data.dtype == np.uint8
        decoded = decode(frame)
        assert decoded.ndim == 3
        assert decoded.shape[2] == 3
        assert decoded.flags.c_contiguous
    assert all(one.captured_ns <= next.captured_ns for one, next in pairwise(frames))
    assert not np.array_equal(decode(frames[0]), decode(frames[3]))  # each frame has memory of its own
    first = decode(frames[0]).copy()
    assert np.array_equal(decode(frames[0]), first)


@pytest.mark.parametrize(
    "text", ["97", "picamera://0", "csi://0", "rtsp://127.0.0.1:9/x", "a.mp4", "gone/", "fake://?x=1"]
)
def test_what_can_not_be_opened_is_one_sentence(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(EdgecnnError) as caught:
        find_kind(text).open(text, Wanted(32, 32))
    assert type(caught.value) is not EdgecnnError
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code in (2, 3, 4)
