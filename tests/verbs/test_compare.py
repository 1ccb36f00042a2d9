"""compare: what is called worse is so for certain, and what can't be compared is not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.measuring.measurement import BenchRecord, Protocol
from edgecnn.records import write_json
from edgecnn.verbs.compare import Change, CompareRecord, compare
from tests.verbs.small_bench import MACHINE, record, row


def compared(folder: Path, before: BenchRecord, after: BenchRecord, tolerance: float = 5.0) -> CompareRecord:
    write_json(folder / "a.json", before)
    write_json(folder / "b.json", after)
    return compare(folder / "a.json", folder / "b.json", tolerance_percent=tolerance)


def change(found: CompareRecord, figure: str) -> Change:
    (one,) = [made for made in found.rows[0].changes if made.figure == figure]
    return one


def test_the_same_twice_is_nothing(tmp_path: Path) -> None:
    found = compared(tmp_path, record(), record())
    assert found.failures == ()
    assert found.differences == ()
    assert found.times_compared == 1
    assert [made.figure for made in found.rows[0].changes] == ["p50_us", "p90_us", "peak_rss_mib", "model_bytes"]
    assert all(made.ratio == 1 and not made.worse and not made.better for made in found.rows[0].changes)
    assert found.rows[0].same_file


@pytest.mark.parametrize(
    ("after_us", "spread", "windows", "worse"),
    [
        (103.0, 0.001, 10, False),  # within the tolerance
        (110.0, 0.001, 10, True),
        (110.0, 0.04, 10, False),  # beyond it, but not for certain: the interval reaches below
        (110.0, 0.001, 6, False),  # too few windows for an interval
        (90.0, 0.001, 10, False),
    ],
)
def test_slower_for_certain(tmp_path: Path, after_us: float, spread: float, windows: int, worse: bool) -> None:
    before = record(row(100.0, spread=spread, windows=windows))
    after = record(row(after_us, spread=spread, windows=windows))
    found = compared(tmp_path, before, after)
    moved = change(found, "p50_us")
    assert moved.worse is worse
    assert moved.better is (after_us < 95)
    assert moved.ratio == pytest.approx(after_us / 100)
    assert bool(found.failures) is worse
    if worse:
        assert found.failures[0] == "ds_cifar tflite-int8 in litert, 1 thread: p50_us 100, then 110 (+10.0 %)"
    if windows == 6:
        assert moved.low is None
    else:
        assert moved.low is not None
        assert moved.high is not None
        assert moved.low < after_us / 100 < moved.high


def test_the_interval_by_hand(tmp_path: Path) -> None:
    """Ten windows: at 97.5 %, from the second to the ninth (1 - 2 * 11 / 1024 = 97.85 %)."""
    found = compared(tmp_path, record(row(100.0, spread=0.09)), record(row(200.0, spread=0.09)))
    moved = change(found, "p50_us")
    assert moved.low == pytest.approx(2 * 0.93 / 1.07)
    assert moved.high == pytest.approx(2 * 1.07 / 0.93)


@pytest.mark.parametrize(
    ("changed", "figure"), [({"peak_rss_mib": 6.2}, "peak_rss_mib"), ({"model_bytes": 210_001}, "model_bytes")]
)
def test_bigger_for_certain(tmp_path: Path, changed: dict[str, Any], figure: str) -> None:
    found = compared(tmp_path, record(), record(row(**changed)))
    assert [made.figure for made in found.rows[0].changes if made.worse] == [figure]
    assert figure in found.failures[0]
    assert compared(tmp_path, record(), record(row(**changed)), tolerance=40.0).failures == ()


def test_memory_moves_a_little_by_itself(tmp_path: Path) -> None:
    assert compared(tmp_path, record(), record(row(peak_rss_mib=5.4))).failures == ()


@pytest.mark.parametrize(
    ("valid", "said"),
    [
        ((False, True), "times not compared: invalid before"),
        ((True, False), "times not compared: invalid after"),
        ((False, False), "times not compared: invalid before and after"),
    ],
)
def test_invalid_times_are_not_compared(tmp_path: Path, valid: tuple[bool, bool], said: str) -> None:
    before, after = (record(row(us, valid=ok), row(threads=2)) for us, ok in zip((100.0, 300.0), valid, strict=True))
    found = compared(tmp_path, before, after)
    assert found.rows[0].notes == (said,)
    assert [made.figure for made in found.rows[0].changes] == ["peak_rss_mib", "model_bytes"]
    assert (found.times_compared, found.failures) == (1, ())


@pytest.mark.parametrize("invalid", ["a.json", "b.json"])
def test_a_record_without_a_valid_row_is_refused(invalid: str, tmp_path: Path) -> None:
    good, bad = record(), record(row(valid=False, against=("the device held itself back: throttled",)))
    with pytest.raises(UsageError, match=rf"{invalid}: all its rows are invalid \(.*throttled\); measure again"):
        compared(tmp_path, *((bad, good) if invalid == "a.json" else (good, bad)))


def test_absent_readings_are_not_compared(tmp_path: Path) -> None:
    found = compared(tmp_path, record(), record(row(peak_rss_mib=None)))
    assert found.rows[0].notes == ("peak_rss_mib not compared: a record has none",)


def test_rows_of_one_record_only_are_listed(tmp_path: Path) -> None:
    before, after = record(row(), row(threads=2)), record(row(), row(runtime="tflite_micro"))
    found = compared(tmp_path, before, after)
    assert found.only_before == ("ds_cifar tflite-int8 in litert, 2 threads",)
    assert found.only_after == ("ds_cifar tflite-int8 in tflite_micro, 1 thread",)
    assert len(found.rows) == 1


def test_versions_and_governor_are_told(tmp_path: Path) -> None:
    after = record(
        versions={"edgecnn": "0.1.0", "ai-edge-litert": "2.4.0"},
        machine=dataclasses.replace(MACHINE, governor="powersave"),
    )
    found = compared(tmp_path, record(), after)
    assert found.differences == (
        "ai-edge-litert: 2.3.0, then 2.4.0",
        "numpy: 2.4.6, then none",
        "governor: performance, then powersave",
    )


REFUSED = {
    "protocol": ({"protocol": Protocol(9.0)}, r"different protocols: seconds 5\.0 and 9\.0"),
    "device": ({"device": "jetson"}, "different devices: raspberrypi and jetson"),
    "processor": ({"machine": dataclasses.replace(MACHINE, processor="A53")}, "different processors"),
    "instructions": ({"machine": dataclasses.replace(MACHINE, instruction_sets=())}, "different instruction sets"),
    "schema": ({"schema": "edgecnn.bench/2"}, "written by another edgecnn"),
    "protocol's schema": ({"protocol": Protocol(5.0, schema="x/9")}, "written by another edgecnn"),
    "no common row": ({"rows": (row(model="other"),)}, "no row in common"),
}


@pytest.mark.parametrize(("changed", "said"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_compared_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compared(tmp_path, record(), record(**changed))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"device": "x", "rows": 5}'])
def test_what_is_no_record_is_unusable(tmp_path: Path, text: str) -> None:
    write_json(tmp_path / "a.json", record())
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(UnusableFile, match=r"b\.json"):
        compare(tmp_path / "a.json", tmp_path / "b.json")
    with pytest.raises(UnusableFile, match=r"c\.json: there is no such file"):
        compare(tmp_path / "c.json", tmp_path / "a.json")


def test_rows_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="several rows of one name"):
        compared(tmp_path, record(row(), row()), record())


def test_figures_that_are_none_are_no_crash(tmp_path: Path) -> None:
    """A record can be written by hand."""
    zero = row(0.0, peak_rss_mib=0.0, model_bytes=0)
    found = compared(tmp_path, record(zero), record(zero))
    assert all(made.ratio is None for made in found.rows[0].changes)
    assert json.loads((tmp_path / "a.json").read_text())["rows"][0]["p50_us"] == 0.0
