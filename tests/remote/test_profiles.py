"""The packaged profiles: complete, and their sensors read what the commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn import packaged
from edgecnn.edge.runtimes import all_runtimes
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.remote.profiles import Sensor, address_of, load_profile, profile_names, read_profile, recognise

NAMES = sorted(path.stem for path in packaged.folder("devices").glob("*.yaml"))
PIS = ("raspberry-pi-3b-plus", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2-w")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder and a configuration without profiles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_those_of_the_issue_are_there() -> None:
    assert {*PIS, "jetson-orin-nano", "jetson-nano", "local", "virtual-pi"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_complete(name: str) -> None:
    profile = load_profile(name)
    assert set(profile.runtimes) <= set(all_runtimes())
    assert profile.here or profile.model
    figures = [figure for _, figure in profile.peak if figure is not None]
    assert bool(figures) == (not profile.here and not profile.emulated)
    assert all(figure.source for figure in figures)


@pytest.mark.parametrize("name", PIS)
def test_derived_peaks_follow_from_cores_and_clock(name: str) -> None:
    """4 lanes of fp32 a core and cycle on the A53; what is measured may be a little above that, not below a half."""
    profile = load_profile(name)
    assert profile.peak.fp32_gmacs is not None
    assert profile.peak.int8_gmacs is not None
    assert profile.clock_mhz is not None
    derived = profile.cores * 4 * profile.clock_mhz / 1000
    lanes = 2 if "asimddp" in profile.instruction_sets else 1  # an A76 has two pipes for four lanes
    assert profile.peak.fp32_gmacs.value == pytest.approx(lanes * derived, rel=0.01)
    assert profile.peak.int8_gmacs.value == pytest.approx((4 if lanes == 2 else 2) * lanes * derived, rel=0.01)


SAID = {
    "temperature_c": ("temp=48.3'C\n", 48.3),
    "clock_mhz": ("frequency(48)=1500345728\n", 1500.345728),
    "throttled": ("throttled=0x50005\n", 0x50005),
}
"""Of vcgencmd. Source: Raspberry Pi documentation."""


def reading(sensor: Sensor, said: str) -> float:
    found = re.search(sensor.pattern, said)
    assert found is not None
    return (int(found[1], 16) if found[1].startswith("0x") else float(found[1])) * sensor.scale


@pytest.mark.parametrize("name", PIS)
def test_the_firmware_s_answers_are_read(name: str) -> None:
    sensors = load_profile(name).sensors
    assert sensors["governor"].command[0] == "cat"
    for quantity, (said, expected) in SAID.items():
        assert reading(sensors[quantity], said) == pytest.approx(expected)  # type: ignore[index]


ADC = """\
   3V7_WL_SW_A current(0)=0.01170000A
     VDD_CORE_A current(7)=2.00000000A
   3V7_WL_SW_V volt(8)=3.70000000V
     VDD_CORE_V volt(15)=0.75000000V
       EXT5V_V volt(24)=5.15000000V
        BATT_V volt(25)=0.00000000V
"""
"""Of `vcgencmd pmic_read_adc`, shortened: rails have a voltage and a current, the supply and the battery none."""


def test_a_pi_5_s_power_is_the_sum_of_its_rails(elsewhere: Path) -> None:
    (elsewhere / "vcgencmd").write_text(f"#!/bin/sh\ncat <<'END'\n{ADC}END\n")
    (elsewhere / "vcgencmd").chmod(0o755)
    sensor = load_profile("raspberry-pi-5").sensors["power_w"]
    environment = {"PATH": f"{elsewhere}:{os.environ['PATH']}"}
    said = subprocess.run([sys.executable, *sensor.command[1:]], env=environment, capture_output=True, text=True)
    assert reading(sensor, said.stdout) == pytest.approx(0.0117 * 3.7 + 2.0 * 0.75, abs=1e-3)


def test_a_jetson_s_power_is_its_input_rail_s(elsewhere: Path) -> None:
    folder = elsewhere / "1-0040/hwmon/hwmon1"
    folder.mkdir(parents=True)
    for channel, (label, millivolts, milliamperes) in enumerate(
        [("VDD_IN", 5064, 1208), ("VDD_CPU_GPU_CV", 5056, 192)], 1
    ):
        (folder / f"in{channel}_label").write_text(f"{label}\n")
        (folder / f"in{channel}_input").write_text(f"{millivolts}\n")
        (folder / f"curr{channel}_input").write_text(f"{milliamperes}\n")
    sensor = load_profile("jetson-orin-nano").sensors["power_w"]
    code = sensor.command[2].replace("/sys/bus/i2c/drivers/ina3221", str(elsewhere))
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reading(sensor, said.stdout) == pytest.approx(5.064 * 1.208)


MODELS = {
    "Raspberry Pi 3 Model B Plus Rev 1.3": "raspberry-pi-3b-plus",
    "Raspberry Pi 4 Model B Rev 1.5": "raspberry-pi-4",
    "Raspberry Pi 5 Model B Rev 1.0": "raspberry-pi-5",
    "Raspberry Pi Zero 2 W Rev 1.0": "raspberry-pi-zero-2-w",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super": "jetson-orin-nano",
    "NVIDIA Jetson Nano Developer Kit": "jetson-nano",
    "Virtual Pi 4 (qemu-user)": "virtual-pi",
    "Raspberry Pi 3 Model B Rev 1.2": None,
    "": None,
    None: None,
}


@pytest.mark.parametrize("model", MODELS)
def test_boards_are_known_by_what_they_call_themselves(model: str | None) -> None:
    assert recognise(model) == MODELS[model]


def test_what_can_not_be_reached_says_why() -> None:
    for name, said in {
        "jetson-nano": "not supported: JetPack 4",
        "local": "is this machine",
        "raspberry-pi-4": "devices add",
    }.items():
        with pytest.raises(UsageError, match=said):
            address_of(load_profile(name))
    assert address_of(load_profile("virtual-pi")).config == Path("~/.cache/edgecnn/virtual-pi/ssh_config").expanduser()


def test_one_s_own_come_first(elsewhere: Path) -> None:
    own = "{name: raspberry-pi-4, title: mine, cpu: x, cores: 4, architecture: aarch64}"
    for folder in (elsewhere / "config/edgecnn/devices", elsewhere / "devices"):
        folder.mkdir(parents=True)
        (folder / "raspberry-pi-4.yaml").write_text(own.replace("mine", folder.parent.name))
        assert load_profile("raspberry-pi-4").title == folder.parent.name
    (elsewhere / "devices/shed.yaml").write_text(own)
    assert "shed" in profile_names()
    with pytest.raises(UnusableFile, match="calls itself 'raspberry-pi-4'"):
        load_profile("shed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name: a, title: t, cpu: x, cores: 0, architecture: y}", "cores"),
        ("{name: a, title: t, cpu: x, cores: 1, architecture: y, colour: red}", "colour"),
        ("{name: a, title: t, cpu: x, cores: 1, architecture: y, ssh: {host: -oProxyCommand=x}}", "ssh.host"),
        ("{name: a, title: t, cpu: x, cores: 1, architecture: y, sensors: {heat: {command: [a]}}}", "sensors.heat"),
        ("[", "is no device profile"),
        ("- 3", "is no device profile"),
    ],
)
def test_a_damaged_profile(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UnusableFile, match=said):
        read_profile(tmp_path / "a.yaml")
