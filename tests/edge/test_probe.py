"""What a device says of itself: in the words that old Pythons know, and of systems that are not this one."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgecnn.edge import probe
from edgecnn.remote.probing import Probe

SOURCE = Path(probe.__file__)
PYTHONS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")

Files = Callable[[Mapping[str, str]], None]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    """A system that has these files and no others."""

    def have(given: Mapping[str, str]) -> None:
        def names(folder: str) -> list[str]:
            return sorted({path[len(folder) + 1 :].split("/")[0] for path in given if path.startswith(folder + "/")})

        monkeypatch.setattr(probe, "read", lambda path: given.get(path, ""))
        monkeypatch.setattr(probe, "names", names)
        monkeypatch.setattr(probe.os.path, "exists", lambda path: path in given)

    return have


def answer(python: str) -> dict[str, object]:
    """What a Python makes of the file on its stdin, with nothing around it."""
    done = subprocess.run([python, "-"], input=SOURCE.read_bytes(), capture_output=True, check=True, cwd="/")
    (line,) = done.stdout.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_it_answers_with_what_a_probe_is() -> None:
    found = answer(sys.executable)
    fields = {field.name for field in dataclasses.fields(Probe)} - {"instruction_sets"} | {"flags"}
    assert set(found) == fields
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_old_pythons_read_it() -> None:
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))


def test_it_needs_the_standard_library_alone() -> None:
    tree = ast.parse(SOURCE.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for node in imports for name in ([node.module] if isinstance(node, ast.ImportFrom) else _names(node))}
    assert {str(name).split(".")[0] for name in names} <= sys.stdlib_module_names


def _names(node: ast.Import) -> list[str]:
    return [alias.name for alias in node.names]


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_at_hand_answers(version: str) -> None:
    known = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), shutil.which(f"python{version}")]
    for python in filter(None, known):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            assert str(answer(str(python))["python"]).startswith(version + ".")
            return
    pytest.skip(f"no Python {version} here")


MACHINES = {"aarch64": (2, 0xB7, "aarch64"), "armv7l": (1, 0x28, "aarch64"), "armv6l": (1, 0x28, "armv6l")}


@pytest.mark.parametrize("expected", MACHINES)
def test_the_architecture_is_the_userland_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Files, expected: str
) -> None:
    """A 32-bit Python under a 64-bit kernel (Raspberry Pi OS, 32-bit, on a Pi 4) is a 32-bit system."""
    bits, machine, kernel = MACHINES[expected]
    (tmp_path / "python3").write_bytes(b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + b"\2\0" + bytes([machine, 0]))
    monkeypatch.setattr(probe.sys, "executable", str(tmp_path / "python3"))
    monkeypatch.setattr(probe.platform, "machine", lambda: kernel)
    assert probe.architecture() == expected


def test_a_board_s_name_ends_before_the_nul(files: Files) -> None:
    files({"/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0"})
    assert probe.model() == "Raspberry Pi 4 Model B Rev 1.4"


def test_the_processor_by_its_number(files: Files) -> None:
    files({"/proc/cpuinfo": "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0b\n\n"})
    assert probe.processor() == "Cortex-A76"
    files({"/proc/cpuinfo": "processor : 0\nmodel name : Intel(R) N100\nflags : avx2 fma\n"})
    assert probe.processor() == "Intel(R) N100"


def test_a_jetson_s_linux(files: Files) -> None:
    files({"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"})
    assert probe.l4t() == "36.4.3"
    files({})
    assert probe.l4t() is None


def video(*names: str) -> dict[str, str]:
    """/sys and /dev of video devices with these names."""
    found = {f"/sys/class/video4linux/video{number}/name": f"{name}\n" for number, name in enumerate(names)}
    return {**found, **{f"/dev/video{number}": "" for number in range(len(names))}}


RPICAM = """Available cameras
-----------------
0 : imx708 [4608x2592 10-bit RGGB] (/base/axi/pcie@1000120000/rp1/i2c@80000/imx708@1a)
    Modes: 'SRGGB10_CSI2P' : 1536x864 [120.13 fps - (768, 432)/3072x1728 crop]
"""
CAMERAS = {
    "usb": (None, video("HD Webcam C270"), [("0", "HD Webcam C270")]),
    "pi 4, libcamera": (RPICAM, video("unicam", "bcm2835-codec-decode"), [("picamera://0", "imx708")]),
    "pi 5, no libcamera": (None, video("rp1-cfe", "pispbe-input"), [("picamera://0", "rp1-cfe")]),
    "both": (RPICAM, video("unicam", "USB Camera"), [("picamera://0", "imx708"), ("1", "USB Camera")]),
    "jetson": (None, video("vi-output, imx219 9-0010"), [("csi://0", "vi-output, imx219 9-0010")]),
    "no camera": (None, video("bcm2835-isp-output0", "rpi-hevc-dec"), []),
}


@pytest.mark.parametrize("case", CAMERAS)
def test_cameras(monkeypatch: pytest.MonkeyPatch, files: Files, case: str) -> None:
    said, system, expected = CAMERAS[case]
    files(system)
    monkeypatch.setattr(probe, "run", lambda command, seconds: said)
    assert [(camera["source"], camera["name"]) for camera in probe.cameras()] == expected


def test_a_command_that_hangs_is_given_up() -> None:
    assert probe.run(["sleep", "60"], 0) is None
    assert probe.run(["no-such-command"], 1) is None
    assert probe.run(["false"], 5) is None
    assert probe.run(["echo", "yes"], 5) == "yes\n"


@pytest.mark.parametrize("text", ["", "{", '{"python": "3.11.2"}', "[]", '{"whole": true, "packages": 3, "python": 1}'])
def test_an_environment_of_unknown_state_is_not_whole(files: Files, text: str) -> None:
    files({f"{probe.ENVIRONMENT}/pyvenv.cfg": "", f"{probe.ENVIRONMENT}/{probe.STATE}": text})
    found = probe.environment()
    assert found is not None
    assert found["whole"] is False
