"""What a device says about itself: from commands and folders written here."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from pathlib import Path

import pytest

from edgecnn.edge.child import command, environment
from edgecnn.edge.measure import readings
from edgecnn.edge.measure.readings import NAMES, Gauges, Places, Readings, Sensor
from edgecnn.records import from_json

NOWHERE = Places(*[Path("/nowhere")] * 4)


def says(text: str, pattern: str, scale: float = 1.0) -> Sensor:
    return Sensor(("echo", text), pattern, scale)


def read(**sensors: Sensor) -> Readings:
    return Gauges(sensors, NOWHERE).read()


@pytest.mark.parametrize(
    ("name", "sensor", "expected"),
    [
        ("temperature_c", says("temp=48.3'C", "temp=([0-9.]+)"), 48.3),
        ("temperature_c", says("48312", "([0-9]+)", 0.001), 48.312),
        ("clock_mhz", says("frequency(48)=1500398464", r"=(\d+)", 1e-6), 1500.398464),
        ("throttled", says("throttled=0x50005", "throttled=(0x[0-9a-fA-F]+)"), 0x50005),
        ("throttled", says("throttled=0x0", "throttled=(0x[0-9a-fA-F]+)"), 0),
        ("power_w", says("VDD_IN 4520mW/4480mW", r"VDD_IN (\d+)mW", 0.001), 4.52),
        ("governor", says("ondemand", r"(\w+)"), "ondemand"),
    ],
)
def test_a_figure_of_a_command(name: str, sensor: Sensor, expected: float | str) -> None:
    found = read(**{name: sensor})
    assert getattr(found, name) == (expected if isinstance(expected, str) else pytest.approx(expected))
    assert name not in found.missing


@pytest.mark.parametrize(
    ("sensor", "reason"),
    [
        (Sensor(("no-such-command",), "(.)"), "`no-such-command` can't be started (No such file or directory)"),
        (Sensor(("sh", "-c", "echo no access >&2; exit 3"), "(.)"), "failed with exit code 3: 'no access'"),
        (says("VCHI initialization failed", "temp=([0-9.]+)"), "printed nothing like temp=([0-9.]+): 'VCHI init"),
        (says("temp=cold", "temp=(.*)"), "printed 'cold', which is no number"),
        (says("nan", "(.*)"), "printed nan"),
    ],
)
def test_a_figure_that_could_not_be_had_is_absent_with_its_reason(sensor: Sensor, reason: str) -> None:
    found = read(temperature_c=sensor)
    assert found.temperature_c is None
    assert reason in found.missing["temperature_c"]


def test_nothing_is_ever_absent_without_a_reason() -> None:
    found = read()
    assert {name for name in (*NAMES, "swapped_pages") if getattr(found, name) is None} == set(found.missing)
    assert set(found.missing) == {*NAMES, "swapped_pages"}


def test_commands_that_hang_are_killed_with_what_they_started_and_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "PATIENCE_S", 0.3)
    started = tmp_path / "started"
    hanging = Sensor(("sh", "-c", f"echo x >> '{started}'; sleep 600; echo temp=1"), "temp=(.*)")
    gauges = Gauges({"temperature_c": hanging, "clock_mhz": hanging, "governor": says("ok", "(.*)")}, NOWHERE)
    began = time.monotonic()
    for _ in range(5):
        found = gauges.read()
        assert found.temperature_c is found.clock_mhz is None
        assert "killed" in found.missing["temperature_c"]
        assert found.governor == "ok", "the others are heard"
    assert time.monotonic() - began < 15, "three times 0.3 s for both"
    assert len(started.read_text().split()) == 2 * readings.HANGS_MOST


def test_what_linux_says_by_itself(tmp_path: Path) -> None:
    places = Places(tmp_path / "thermal", tmp_path / "throttled", tmp_path / "cpu0", tmp_path / "vmstat")
    for path, text in (
        ("thermal/thermal_zone0/type", "cpu-thermal"),
        ("thermal/thermal_zone0/temp", "48312"),
        ("throttled", "50000"),
        ("cpu0/cpufreq/scaling_governor", "powersave\n"),
        ("cpu0/cpufreq/scaling_cur_freq", "1500000"),
        ("vmstat", "nr_free_pages 7\npswpin 30\npswpout 12\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = Gauges({}, places).read()
    assert (found.temperature_c, found.throttled, found.governor) == (48.312, 0x50000, "powersave")
    assert found.swapped_pages == 42
    assert found.clock_mhz is None, "the requested clock is not the real one"
    assert "1500 MHz were requested" in found.missing["clock_mhz"]


@pytest.mark.parametrize(
    ("driver", "expected"),
    [("cpufreq-dt", "powersave"), ("intel_pstate", "powersave of intel_pstate"), ("intel_cpufreq", "powersave")],
)
def test_powersave_is_no_low_clock_in_every_driver(driver: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpufreq/scaling_governor").write_text("powersave\n")
    (tmp_path / "cpufreq/scaling_driver").write_text(driver + "\n")
    assert Gauges({}, dataclasses.replace(NOWHERE, cpu=tmp_path)).read().governor == expected


def test_the_watching_process_has_neither_numpy_nor_an_engine() -> None:
    use = {"do": "use", "sensors": {"temperature_c": {"command": ["echo", "48"], "pattern": "(.*)", "scale": 1}}}
    asked = "".join(json.dumps(request) + "\n" for request in ({"do": "read"}, use, {"do": "read"}))
    watch = [*command("watch")[:1], "-X", "importtime", *command("watch")[1:]]
    ended = subprocess.run(watch, input=asked, capture_output=True, text=True, env=environment(), check=True)
    first, none, last = (json.loads(line)["answer"] for line in ended.stdout.splitlines())
    assert none is None
    assert from_json(Readings, first).power_w is None
    assert from_json(Readings, last).temperature_c == 48.0
    assert "numpy" not in ended.stderr
