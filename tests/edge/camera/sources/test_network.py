"""network.py before a server of MJPEG over HTTP on this machine; what it says when there is none, and what it hides."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from edgecnn.edge.camera.frames import decode
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.camera.sources.network import SOURCE
from edgecnn.errors import DeviceError, UsageError
from tests.edge.camera.reading import read_until
from tests.edge.camera.v4l2_double import scene

WANTED = Wanted(32, 32)
FRAMES = 12


class Camera(http.server.BaseHTTPRequestHandler):
    """/stream gives so many frames at 50 a second and ends; /private wants a user and a password; /page is no video."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        allowed = base64.b64encode(b"admin:hunter2").decode()
        if self.path.startswith("/private") and self.headers.get("Authorization") != f"Basic {allowed}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path.startswith("/page"):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")
            return
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has had enough
            for number in range(FRAMES):
                jpeg = cv2.imencode(".jpg", scene(320, 240)[number][:, :, ::-1])[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Host and port of the camera."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_frames_come_as_they_are_sent_until_the_stream_ends(server: str) -> None:
    with SOURCE.open(f"http://{server}/stream", WANTED) as source:
        assert source.live
        assert source.description == f"http://{server}/stream: 320x240"
        before_ns = time.monotonic_ns()
        frames, said = read_until(source, DeviceError)
    assert said.startswith(f"http://{server}/stream: the stream is lost")
    assert len(frames) == FRAMES
    for number, frame in enumerate(frames):
        assert np.abs(decode(frame).astype(int) - scene(320, 240)[number]).mean() < 3
        assert before_ns <= frame.captured_ns <= time.monotonic_ns()


def test_a_password_opens_and_is_never_shown(server: str, capfd: pytest.CaptureFixture[str]) -> None:
    with SOURCE.open(f"http://admin:hunter2@{server}/private?token=hunter2", WANTED) as source:
        assert next(iter(source)).data.shape == (240, 320, 3)
        assert source.description == f"http://***@{server}/private?***: 320x240"
        with pytest.raises(DeviceError) as lost:
            list(source)
    assert "hunter2" not in str(lost.value)
    with pytest.raises(DeviceError, match="check the path, and user and password") as refused:
        SOURCE.open(f"http://admin:hunter1@{server}/private", WANTED)
    assert "hunter" not in str(refused.value)
    said = capfd.readouterr()
    assert "hunter" not in said.out + said.err


def test_what_is_no_video_is_told_from_who_does_not_answer(server: str) -> None:
    with pytest.raises(DeviceError, match=rf"^http://{server}/page: {server} answers, but FFmpeg finds no video"):
        SOURCE.open(f"http://{server}/page", WANTED)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
        for scheme in ("http", "rtsp"):
            with pytest.raises(DeviceError, match=rf"{nobody} does not answer \(Connection refused\)"):
                SOURCE.open(f"{scheme}://a:hunter2@{nobody}/live", WANTED)
    with pytest.raises(DeviceError, match="is no address that can be read"):
        SOURCE.open("http://127.0.0.1:port/live", WANTED)


def test_nothing_but_the_error_is_said() -> None:
    """In a process of its own: how much FFmpeg says is settled when it is used first."""
    code = (
        "from edgecnn.edge.camera.sources import Wanted, find_kind\n"
        "for text in ('http://a:hunter2@127.0.0.1:9/x', '97', '/dev/null', sys.argv[1]):\n"
        "    try: find_kind(text).open(text, Wanted(32, 32))\n"
        "    except EdgecnnError as error: print(error)\n"
    )
    imports = "import sys\nfrom edgecnn.errors import EdgecnnError\n"
    done = subprocess.run([sys.executable, "-c", imports + code, __file__], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 4
    assert "hunter2" not in done.stdout
    assert done.stderr == ""


def test_a_host_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection, and never answers."""
    monkeypatch.setattr("edgecnn.edge.camera.sources.network.OPEN_MS", 300)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DeviceError, match=f"{host} answers, but FFmpeg finds no video"):
            SOURCE.open(f"http://{host}/live", WANTED)


def test_a_stream_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecnn.edge.camera.sources.network.READ_MS", 300)
    monkeypatch.setattr(Camera, "do_GET", _stall(Camera.do_GET))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        with SOURCE.open(f"http://127.0.0.1:{serving.server_port}/stream", WANTED) as source:
            before_s = time.monotonic()
            frames, _ = read_until(source, DeviceError)
            assert time.monotonic() - before_s < 10  # it would be 20
            assert len(frames) == FRAMES
            _STALLED.set()
        serving.shutdown()


_STALLED = threading.Event()


def _stall(serve: object) -> object:
    def do_get(self: Camera) -> None:
        serve(self)  # type: ignore[operator]
        _STALLED.wait(20)  # the connection stays open, with nothing coming

    return do_get


def test_without_ffmpeg_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: False)
    with pytest.raises(UsageError, match=r"needs an OpenCV that is built with FFmpeg.*pip install opencv-python-head"):
        SOURCE.open("rtsp://a:b@host/x", WANTED)
