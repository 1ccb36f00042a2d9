"""`devices` from the command line: what people and scripts see, against a real sshd on this machine."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import Loopback, loopback
from tests.remote.small_wheels import engines, only_index
from tests.verbs.small_runs import edgecnn


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with loopback(tmp_path / "device") as found:
        yield found


def add(device: Loopback) -> None:
    left = edgecnn("devices", "add", "shed", "--host", "loopback", "--config", device.address.config)
    assert (left.code, left.err) == (0, "")
    path = Path("devices/shed.yaml")
    path.write_text(path.read_text() + f"python: {sys.executable}\n")


@pytest.mark.slow
def test_from_a_host_to_a_device_that_is_ready(
    device: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines(only_index(tmp_path, monkeypatch))
    add(device)
    assert re.search(r"^shed .* loopback ", edgecnn("devices", "list").out, re.MULTILINE)
    assert "reached by ssh: loopback" in edgecnn("devices", "show", "shed").out
    probed = edgecnn("devices", "probe", "shed")
    assert "next: edgecnn devices setup shed" in probed.out
    first = edgecnn("devices", "setup", "shed", "--runtime", "litert")
    assert first.code == 0, first.err
    assert "installed ai-edge-litert==2.3.0, numpy==2." in first.out
    assert "installing" in first.err
    again = edgecnn("devices", "setup", "shed", "--json", "-q")
    assert again.err == ""
    found = json.loads(again.out)
    assert (found["schema"], found["installed"], found["runtimes"]) == ("edgecnn.devices/1", [], ["litert"])
    assert found["environment_bytes"] > 0
    installed = json.loads(edgecnn("devices", "probe", "shed", "--json").out)
    assert installed["supported"] is True
    assert installed["runtimes"][0]["installed"] == "2.3.0"


def test_json_of_add(device: Loopback) -> None:
    left = edgecnn("devices", "add", "shed", "--host", "loopback", "--config", device.address.config, "--json")
    found = json.loads(left.out)
    assert found["schema"] == "edgecnn.devices/1"
    assert (found["device"], found["path"]) == ("shed", "devices/shed.yaml")


def test_exit_codes(device: Loopback) -> None:
    for words, code, said in [
        (("devices", "setup", "jetson-nano"), 2, "not supported: JetPack 4"),
        (("devices", "setup", "raspberry-pi-4"), 2, "edgecnn devices add raspberry-pi-4 --host"),
        (("devices", "setup", "local"), 2, "is this machine"),
        (("devices", "probe", "nowhere"), 2, "unknown device"),
        (("devices", "add", "shed", "--host", "-oProxyCommand=true"), 2, "no host"),
        (("devices", "add", "shed", "--host", "nobody@loopback", "--config", "missing"), 4, "ssh configuration"),
    ]:
        left = edgecnn(*words)
        assert left.code == code, left.err
        assert said in left.err
    add(device)
    left = edgecnn("devices", "setup", "shed", "--runtime", "litrt")
    assert (left.code, "did you mean 'litert'" in left.err) == (2, True)


def test_what_is_not_supported_is_shown() -> None:
    assert "NOT SUPPORTED: JetPack 4" in edgecnn("devices", "show", "jetson-nano").out
    assert "JetPack 5 (Python 3.8) is not supported" in edgecnn("devices", "show", "jetson-orin-nano").out
    assert "a 32-bit one is not supported" in edgecnn("devices", "show", "raspberry-pi-4").out
    assert re.search(r"^jetson-nano .* not supported ", edgecnn("devices", "list").out, re.MULTILINE)


def test_this_machine() -> None:
    found = json.loads(edgecnn("devices", "probe", "local", "--json").out)
    assert (found["device"], found["next"]) == ("local", "edgecnn doctor")
    assert found["probe"]["executable"] == sys.executable


def test_doctor_misses_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert json.loads(edgecnn("doctor", "--json").out)["notes"] == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no ssh here" in edgecnn("doctor").out
