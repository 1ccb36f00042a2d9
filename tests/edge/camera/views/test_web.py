"""The page's beginning and end: what it needs, where it listens, how it stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgecnn.edge.camera.live import Live
from edgecnn.edge.camera.views import web
from edgecnn.edge.camera.views.web import WebView
from edgecnn.errors import MissingExtra, UsageError
from edgecnn.remote.zipapp import application
from tests.edge.camera.views.client import ask, read_until, watch
from tests.edge.camera.views.scene import REPO, Camera, card
from tests.edge.camera.views.test_stream import noise


def test_the_page_is_served_with_all_that_it_names() -> None:
    with WebView(Live(card()), port=0) as view:
        page = ask(view.address, "/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for path, kind in (("/style.css", "text/css"), ("/page.js", "text/javascript")):
            assert path[1:] in page.body
            assert ask(view.address, path).headers["content-type"] == f"{kind}; charset=utf-8"
        assert "http://" not in page.body.replace("http://www.w3.org/2000/svg", ""), "nothing from elsewhere"
        assert "https://" not in page.body


def test_ipv6() -> None:
    try:
        view = WebView(Live(card()), "::1", 0)
    except UsageError:
        pytest.skip("needs IPv6: this machine has no ::1")
    with view:
        assert view.address.startswith("http://[::1]:")
        assert ask(view.address, "/").status == 200
        with watch(view.address, "/events") as viewer:
            assert b"event: model" in read_until(viewer, b"\n\n")


def test_stop_does_not_wait_for_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    live = Live(card())
    view = WebView(live, port=0)
    view.start()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    with Camera(live, noise()):
        viewers = [watch(view.address, receive_buffer=4096) for _ in range(10)]
        viewers += [watch(view.address, "/events") for _ in range(10)]
        for viewer in viewers:
            read_until(viewer, b"\n")
        time.sleep(0.5)  # the buffers of those who look at pictures are full
        began = time.monotonic()
        view.stop()
        assert time.monotonic() - began < 2
    assert not [thread.name for thread in threading.enumerate() if "edgecnn-web" in thread.name]
    for viewer in viewers:
        viewer.close()
    view.stop()


def test_stop_before_start_frees_the_port() -> None:
    view = WebView(Live(card()), port=0)
    port = view._listening.getsockname()[1]
    view.stop()
    with WebView(Live(card()), port=port) as again:
        assert again.address == view.address


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(UsageError, match="is taken"):
        WebView(Live(card()), port=other.getsockname()[1])


def test_a_token_that_can_not_be_kept_frees_the_port(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short")
    (tmp_path / "token").chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Exception, match="holds no token"):
        WebView(Live(card()), port=port, token=tmp_path / "token")
    WebView(Live(card()), port=port).stop()


@pytest.mark.parametrize("library", ["starlette", "uvicorn"])
def test_a_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == library:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"the web page needs {library}.* pip install 'edgecnn\[camera\]'"):
        WebView(Live(card()), port=0)


def test_only_the_server_knows_its_libraries() -> None:
    """They are not on every device: no other file of ours may import them."""
    importing = re.compile(r"^\s*(import|from) (starlette|uvicorn|h11|anyio)\b", re.MULTILINE)
    found = [path.name for path in (REPO / "edgecnn").rglob("*.py") if importing.search(path.read_text("utf-8"))]
    assert found == ["server.py"]


SCRIPT = """
import http.client, sys
from edgecnn.edge.camera.live import Live, ModelCard
from edgecnn.edge.camera.views import web
assert not {"starlette", "uvicorn", "cv2"} & sys.modules.keys(), "importing does nothing"
assert ".pyz" in web.__file__
with web.WebView(Live(ModelCard("m", "0", "litert", 1, "int8", "32x32 crop", ())), port=0) as view:
    connection = http.client.HTTPConnection(view.address[7:-1])
    connection.request("GET", "/page.js")
    print(len(connection.getresponse().read()))
assert not {"torch", "onnx", "pydantic", "rich"} & sys.modules.keys()
"""


def test_it_works_from_a_zip_file_with_what_a_device_has(tmp_path: Path) -> None:
    packed = tmp_path / "edge.pyz"
    packed.write_bytes(application())
    environment = {**os.environ, "PYTHONPATH": str(packed)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == (Path(web.__file__).parent / "page" / "page.js").stat().st_size
