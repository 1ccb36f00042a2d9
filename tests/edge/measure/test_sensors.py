"""Temperature and throttling, from folders and programs written here."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgecnn.edge.measure.sensors import Sensors, hottest_c


def zones(folder: Path, **readings: tuple[str, str]) -> Path:
    for name, (kind, temperature) in readings.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "type").write_text(kind + "\n")
        (folder / name / "temp").write_text(temperature + "\n")
    return folder


def program(path: Path, script: str) -> str:
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


NOWHERE = Path("/nowhere")


# --- temperature -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ({"thermal_zone0": ("cpu-thermal", "48312")}, 48.312),  # Raspberry Pi
        ({"thermal_zone0": ("CPU-therm", "40500"), "thermal_zone1": ("GPU-therm", "70000")}, 40.5),  # Jetson Nano
        ({"thermal_zone0": ("cpu-thermal", "50000"), "thermal_zone8": ("tj-thermal", "52000")}, 52.0),  # Jetson Orin
        ({"thermal_zone0": ("acpitz", "90000"), "thermal_zone1": ("x86_pkg_temp", "61000")}, 61.0),
        ({"thermal_zone0": ("soc_thermal", "1000"), "cooling_device0": ("cpu", "99000")}, 1.0),
        ({"thermal_zone0": ("battery", "30000")}, None),
        ({"thermal_zone0": ("cpu", "-274000"), "thermal_zone1": ("cpu", "hot"), "thermal_zone2": ("cpu", "")}, None),
        ({}, None),
    ],
)
def test_the_hottest_zone_of_the_processor(
    tmp_path: Path, readings: dict[str, tuple[str, str]], expected: float | None
) -> None:
    assert hottest_c(zones(tmp_path / "thermal", **readings)) == expected


def test_a_zone_that_can_not_be_read_is_passed_over(tmp_path: Path) -> None:
    thermal = zones(tmp_path, thermal_zone0=("cpu-thermal", "40000"), thermal_zone1=("gpu", "1"))
    (thermal / "thermal_zone2").mkdir()
    assert hottest_c(thermal) == 40.0


def test_it_is_read_once_a_second(tmp_path: Path) -> None:
    thermal, clock = zones(tmp_path, thermal_zone0=("cpu-thermal", "40000")), Clock()
    sensors = Sensors(thermal, NOWHERE, "no-vcgencmd", clock)
    assert sensors.temperature_c() == 40.0
    (thermal / "thermal_zone0/temp").write_text("50000")
    clock.now = 0.99
    assert sensors.temperature_c() == 40.0
    clock.now = 1.0
    assert sensors.temperature_c() == 50.0


# --- throttling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "expected"),
    [("0x0", False), ("0x4", True), ("0x1", True), ("0x8", True), ("0xF0000", False), ("0x50005", True)],
)
def test_a_raspberry_pi_says_what_is_now(tmp_path: Path, bits: str, expected: bool) -> None:
    firmware = tmp_path / "get_throttled"
    firmware.write_text(bits.removeprefix("0x") + "\n")
    assert Sensors(tmp_path, firmware, "no-vcgencmd").throttled() is expected
    vcgencmd = program(tmp_path / "vcgencmd", f'[ "$*" = get_throttled ] && echo throttled={bits}')
    assert Sensors(tmp_path, NOWHERE, vcgencmd).throttled() is expected


@pytest.mark.parametrize("script", ["exit 1", "echo 'VCHI initialization failed'", "echo throttled=", "exec /nowhere"])
def test_what_it_does_not_say_is_absent(tmp_path: Path, script: str) -> None:
    assert Sensors(tmp_path, NOWHERE, program(tmp_path / "vcgencmd", script)).throttled() is None


def test_other_machines_say_nothing(tmp_path: Path) -> None:
    assert Sensors(tmp_path, NOWHERE, "no-vcgencmd").throttled() is None


def test_a_command_that_hangs_holds_nobody_up_and_is_not_started_twice(tmp_path: Path) -> None:
    starts, clock = tmp_path / "starts", Clock()
    vcgencmd = program(tmp_path / "vcgencmd", f'echo x >> "{starts}"; exec sleep 600')
    sensors = Sensors(tmp_path, NOWHERE, vcgencmd, clock)
    began = time.monotonic()
    assert sensors.throttled() is None
    assert time.monotonic() - began < 5, "0.2 s, on a machine that is not busy"
    process = sensors._hanging
    assert process is not None
    process.wait(20)  # it was killed
    program(tmp_path / "vcgencmd", "echo throttled=0x2")
    clock.now = 1.0
    assert sensors.throttled() is True
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def test_while_one_hangs_in_the_kernel_no_other_is_started(tmp_path: Path) -> None:
    class Undead:
        def poll(self) -> None: ...

    sensors = Sensors(tmp_path, NOWHERE, program(tmp_path / "vcgencmd", "echo throttled=0x2"))
    sensors._hanging = Undead()  # type: ignore[assignment]
    assert sensors.throttled() is None
