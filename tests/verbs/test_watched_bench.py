"""bench on a device whose sensors, real small programs, report throttling, heat, a low clock or powersave."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from edgecnn.edge.measure.readings import Sensor
from edgecnn.errors import UsageError
from edgecnn.measuring import turns
from edgecnn.measuring import validity as validities
from edgecnn.measuring.measurement import BenchRecord, within
from edgecnn.measuring.monitor import Limits, Watching
from edgecnn.records import read_json
from edgecnn.verbs import bench as benches
from edgecnn.verbs.bench import bench
from edgecnn.verbs.compare import compare
from tests.verbs.small_bench import null_model
from tests.verbs.small_runs import edgecnn

LIMITS = Limits(throttles_at_c=80.0, clock_mhz=1500.0)
WELL = {
    "measure_temp": "temp=48.3'C",
    "measure_clock arm": "frequency(48)=1500398464",
    "get_throttled": "throttled=0x0",
    "governor": "performance",
}
SPOILT = {
    "throttled": ({"get_throttled": "throttled=0x50005"}, "held itself back: undervoltage and throttled"),
    "hot": ({"measure_temp": "temp=84.2'C"}, "84.2 C hot, and throttles from 80 C on"),
    "slow": ({"measure_clock arm": "frequency(48)=1000265728"}, "the clock was 1000 MHz instead of 1500"),
    "powersave": ({"governor": "powersave"}, "the governor is 'powersave'"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, and not waiting long; that this machine is busy is none of these tests' business."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgecnn.measuring.rows.too_busy", lambda *given: [])
    monkeypatch.setattr(validities, "too_busy", lambda *given: [])
    monkeypatch.setattr(turns, "swapped", lambda *given: [])
    monkeypatch.setattr(benches, "within", lambda seconds: dataclasses.replace(within(seconds), cooling_s=0.2))


def device(**changed: str) -> Watching:
    """A device with a vcgencmd that says this."""
    vcgencmd = Path("vcgencmd").absolute()
    cases = "\n".join(f"  '{words}') echo \"{said}\" ;;" for words, said in {**WELL, **changed}.items())
    vcgencmd.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}\n  *) exit 2 ;;\nesac\n')
    vcgencmd.chmod(0o755)
    return Watching(
        {
            "temperature_c": Sensor((str(vcgencmd), "measure_temp"), r"temp=([0-9.]+)"),
            "clock_mhz": Sensor((str(vcgencmd), "measure_clock", "arm"), r"=(\d+)", 1e-6),
            "throttled": Sensor((str(vcgencmd), "get_throttled"), r"throttled=(0x[0-9a-fA-F]+)"),
            "governor": Sensor((str(vcgencmd), "governor"), r"(\w+)"),
        },
        LIMITS,
    )


def measured(out: str = "x.json", said: list[str] | None = None, **changed: str) -> BenchRecord:
    lines: list[str] = [] if said is None else said
    model, watching = null_model(Path("models")), device(**changed)
    return bench(model, seconds=0.1, input_size=(8, 8), out=Path(out), watching=watching, message=lines.append)


def test_a_device_that_is_well_makes_a_valid_record() -> None:
    (row,) = measured().rows
    assert row.valid
    assert (row.spoilt, row.against) == ((), ())
    for readings in (row.before, row.during, row.after):
        assert readings is not None
        assert (readings.temperature_c, readings.throttled, readings.governor) == (48.3, 0, "performance")
        assert readings.clock_mhz == pytest.approx(1500.4, abs=0.1)
        assert readings.power_w is None
        assert "power_w" in readings.missing


@pytest.mark.parametrize("what", SPOILT)
def test_fake_sensors_make_an_invalid_record_that_says_so_and_compare_refuses_it(what: str) -> None:
    changed, said = SPOILT[what]
    measured("well.json")
    record = measured("bad.json", **changed)
    assert read_json(BenchRecord, Path("bad.json")) == record
    (row,) = record.rows
    assert not row.valid
    assert said in row.notes[0]
    assert re.search(r"3 of 3 windows spoilt \(.*MHz", row.notes[0]), "how often, and how hot and slow"
    assert row.against == row.notes[: len(row.against)]
    assert len(row.windows) == len(row.spoilt) == record.protocol.spoilt_in_a_row
    with pytest.raises(UsageError, match=r"bad\.json: all its rows are invalid"):
        compare("well.json", "bad.json")
    left = edgecnn("compare", "bad.json", "well.json")
    assert left.code == 2
    assert said in left.err


def test_a_window_that_was_throttled_is_left_out_and_taken_again() -> None:
    """From its fourth reading to its sixth the device holds itself back."""
    watching = device()
    counting = Path("vcgencmd").absolute()
    counting.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = get_throttled ]; then\n'
        f"  echo x >> {counting}.count; n=$(wc -l < {counting}.count)\n"
        '  if [ "$n" -ge 4 ] && [ "$n" -le 6 ]; then echo throttled=0x4; else echo throttled=0x40000; fi\n'
        'elif [ "$1" = governor ]; then echo performance\n'
        'elif [ "$1" = measure_temp ]; then echo "temp=60.0\'C"\n'
        'else echo "frequency(48)=1500000000"; fi\n'
    )
    model = null_model(Path("models"))
    (row,) = bench(model, seconds=0.1, input_size=(8, 8), out=Path("x.json"), watching=watching).rows
    assert row.valid
    assert 1 <= len(row.spoilt) <= 2
    assert row.spoilt[0].reasons == ("the device held itself back: throttled",)
    assert (row.spoilt[0].temperature_c, row.spoilt[0].clock_mhz) == (60.0, 1500.0)
    assert row.n == sum(window.n for window in row.windows), "never averaged in"
    assert row.during is not None
    assert row.during.throttled == 0x40000
    assert any("windows spoilt" in note for note in row.notes)


def test_what_it_waits_for_is_told() -> None:
    said: list[str] = []
    measured(said=said, measure_temp="temp=84.2'C")
    assert "waiting for the device to cool down, up to 0 s: 84.2 C, 1500 MHz" in said
    assert any(line.startswith("the device is not as it should be after 0 s: 84.2 C") for line in said)
