"""The camera on a device: this machine through a real sshd; its page through the tunnel."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.edge.camera.live import Result
from edgecnn.edge.camera.session import Options
from edgecnn.errors import DeviceError, UsageError
from edgecnn.verbs.camera_device import camera_of, camera_on_device
from tests.loopback import Loopback, loopback, set_up

SECONDS = 60


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Loopback) -> None:
    monkeypatch.chdir(tmp_path)
    set_up(device, Path("devices"), camera="fake://")


def test_results_come_here() -> None:
    found: list[Result] = []
    summary = camera_on_device("cifar10-ds", "loop", Options("fake://", "none", frames=5), result=found.append)
    assert summary.results == len(found) == 5
    assert 0 < found[0].probability <= 1
    assert camera_of("loop") == "fake://"


def test_its_page_opens_here_through_the_tunnel() -> None:
    said: list[str] = []
    options = Options("fake://", "web", port=0, frames=100, fps=20)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            camera_on_device("cifar10-ds", "loop", options, message=said.append)
        except BaseException as error:
            failures.append(error)

    beside = threading.Thread(target=run)
    beside.start()
    try:
        port = _port(said)
        assert _status(port, f"127.0.0.1:{port}") == 200
        assert _status(port, "127.0.0.1:1") == 403, "only by the name that the tunnel has here"
    finally:
        beside.join(SECONDS)
    assert not beside.is_alive()
    assert not failures


def _port(said: list[str]) -> int:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for line in said:
            if "http://127.0.0.1:" in line:
                return int(line.partition("http://127.0.0.1:")[2].partition("/")[0])
        time.sleep(0.05)
    raise AssertionError(said)


def _status(port: int, host: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/", headers={"Host": host})
    return connection.getresponse().status


def test_a_camera_that_is_not_there_is_the_devices_error() -> None:
    with pytest.raises(DeviceError, match="/dev/video77"):
        camera_on_device("cifar10-ds", "loop", Options("/dev/video77", "none"))


def test_a_window_is_refused() -> None:
    with pytest.raises(UsageError, match="no window can be opened from a device"):
        camera_on_device("cifar10-ds", "loop", Options("fake://", "window"))


def test_ctrl_c_here_ends_it_there(device: Loopback) -> None:
    words = [sys.executable, "-m", "edgecnn", "camera", "cifar10-ds", "--device", "loop", "--view", "none"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"{"), "it runs"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 130, "as the camera of this machine does"
    assert not _running(str(device.home)), "nothing is left over there"


def _running(text: str) -> list[str]:
    """Command lines of processes that work in a folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == text:
                found.append(Path(f"/proc/{pid}/cmdline").read_text())
        except OSError:
            continue
    return found
