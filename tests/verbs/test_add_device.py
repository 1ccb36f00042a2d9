"""A profile by looking: the board's figures, what the device says itself, and everything that stood there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecnn.errors import DeviceError, UsageError
from edgecnn.remote.address import Address
from edgecnn.remote.probing import FoundCamera
from edgecnn.remote.profiles import load_profile, read_profile
from edgecnn.verbs import add_device as module
from edgecnn.verbs.add_device import add_device, profile_text
from tests.loopback import loopback
from tests.remote.probes import pi


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder and a configuration without profiles."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def written(folder: Path, text: str) -> Any:
    (folder / "shed.yaml").write_text(text)
    return read_profile(folder / "shed.yaml")


ADDRESS = Address("pi@192.168.1.20", 2222, None, Path("/home/me/.ssh/id"))


@pytest.mark.parametrize("board", ["raspberry-pi-4", "raspberry-pi-5", "jetson-orin-nano"])
def test_a_known_board_keeps_all_that_its_profile_says(elsewhere: Path, board: str) -> None:
    found = pi(instruction_sets=("asimd", "i8mm"), cores=3)
    text = profile_text("shed", ADDRESS, found, board)
    made, base = written(elsewhere, text), load_profile(board)
    assert made.ssh.address() == ADDRESS
    changed = {"name", "ssh", "cores", "instruction_sets", "camera"}
    for field in set(type(made).model_fields) - changed:
        assert getattr(made, field) == getattr(base, field), field
    assert (made.cores, made.instruction_sets, made.camera) == (3, ("asimd", "i8mm"), "picamera://0")
    assert text.startswith("# Written by `edgecnn devices add shed` on 20")
    assert f"profile {board}'s" in text
    assert "Python 3.11.2, glibc 2.36, 3,794 MiB" in text


def test_the_profile_s_own_comments_stay(elsewhere: Path) -> None:
    assert "  # what its power chip gives" in profile_text("shed", ADDRESS, pi(), "raspberry-pi-5")


def test_a_board_that_nobody_knows(elsewhere: Path) -> None:
    found = pi(model="Radxa ROCK 5B", processor="Cortex-A76", cameras=(FoundCamera("2", "USB Camera"),), vcgencmd=None)
    made = written(elsewhere, profile_text("shed", Address("rock"), found, None))
    assert (made.title, made.cpu, made.cores, made.camera) == ("Radxa ROCK 5B", "Cortex-A76", 4, "2")
    assert made.runtimes == ("litert", "onnxruntime", "openvino")
    assert made.peak.fp32_gmacs is None


def test_runtimes_that_can_not_be_had_are_left_out(elsewhere: Path) -> None:
    found = pi(python="3.10.12", glibc="2.31")
    assert written(elsewhere, profile_text("shed", ADDRESS, found, "raspberry-pi-4")).runtimes == (
        "litert",
        "onnxruntime",
    )


@pytest.mark.parametrize("host", ["pi: [x]", "#pi", "'pi", "yes", "1.5"])
def test_a_host_is_text_whatever_it_looks_like(elsewhere: Path, host: str) -> None:
    host = host.replace(" ", "")
    assert written(elsewhere, profile_text("shed", Address(host), pi(), "raspberry-pi-4")).ssh.host == host


def test_over_ssh(elsewhere: Path) -> None:
    with loopback(elsewhere / "device") as device:
        config = device.address.config
        record = add_device("shed", "loopback", config=config)
        assert record.path == Path("devices/shed.yaml")
        assert load_profile("shed").ssh is not None
        before = record.path.read_bytes()
        with pytest.raises(UsageError, match="exists already"):
            add_device("shed", "loopback", config=config)
        record.path.write_bytes(b"mine")
        add_device("shed", "loopback", config=config, force=True)
        assert record.path.read_bytes() == before
        attic = add_device("attic", "loopback", config=config, user=True)
        assert attic.path == elsewhere / "config/edgecnn/devices/attic.yaml"
        assert load_profile("attic").name == "attic"


def test_what_can_not_be_used_is_not_written(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "probe", lambda connection: pi(architecture="armv7l"))
    with loopback(elsewhere / "device") as device, pytest.raises(DeviceError, match="64-bit system to its card"):
        add_device("shed", "loopback", config=device.address.config)
    assert not Path("devices").exists()


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "-x", "a b"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a device"):
        add_device(name, "loopback")
