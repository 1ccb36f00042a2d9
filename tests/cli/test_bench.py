"""bench and compare from the command line: what is printed, and with which code they leave."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgecnn.cli import show_bench
from edgecnn.edge.measure.readings import Readings
from edgecnn.measuring.measurement import Row, SpoiltWindow, Window
from edgecnn.packaged import HERE
from edgecnn.records import write_json
from tests.verbs.small_bench import null_model, record, row
from tests.verbs.small_runs import Left, SmallRun, edgecnn

QUICK = ("--seconds", "0.1", "--input-size", "8")


def refused(left: Left, code: int, *words: str) -> None:
    assert left.code == code, left.err
    errors = [line for line in left.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, left.err
    assert "Traceback" not in left.err
    for word in words:
        assert word in errors[0]


# --- bench -----------------------------------------------------------------------------------------------------------


def test_a_table_of_rows() -> None:
    left = edgecnn("bench", null_model(Path("a")), *QUICK, "--threads", "1,2")
    assert left.code == 0, left.err
    lines = left.out.splitlines()
    assert re.search(r"model +file +runtime +threads +p50 .s +p90 +p99 +KiB +RAM MiB +arena KiB +load ms", lines[1])
    assert sorted(re.findall(r"^[!~ ] +model\.null +null +null +(\d) ", left.out, re.MULTILINE)) == ["1", "2"]
    assert "record: bench/" in left.err


def test_without_a_name_it_is_the_newest_run(small_run: SmallRun) -> None:
    left = edgecnn("bench", "--runtime", "litert", "--seconds", "0.1", "--json")
    assert left.code == 0, left.err
    assert left.err.splitlines()[0] == f"run {small_run.run}"
    assert {(found["target"], found["precision"]) for found in json.loads(left.out)["rows"]} == {
        ("tflite", "fp32"),
        ("tflite", "int8"),
    }
    assert len([*(small_run.run / "bench").glob("*.json")]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), ("there is no such run or export",)),
        (("cifar10-ds", "--runtime", "tensorrt"), ("unknown runtime 'tensorrt'",)),
        (("cifar10-ds", "--out", "."), (".: can't be written; name a file",)),
        (("cifar10-ds", "--out", "/dev/null/x.json"), ("/dev/null/x.json: can't be written",)),
        (("cifar10-ds", "--out", "r.png"), ("r.png: a record is JSON", "name it r.json")),
    ],
)
def test_what_makes_no_sense(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(edgecnn("bench", *arguments), 2, *words)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("bench", "cifar10-ds", "--seconds"),
        ("bench", "cifar10-ds", "--sustained"),
        ("compare", "before.json", "after.json", "--tolerance"),
        ("camera", "cifar10-ds", "--fps"),
    ],
)
def test_numbers_are_finite(arguments: tuple[str, ...], value: str) -> None:
    """nan is neither below a limit nor above it: a measurement never ended, and a gate let everything pass."""
    left = edgecnn(*arguments, value)
    assert left.code == 2
    assert f"Invalid value for '{arguments[-1]}'" in left.err


@pytest.mark.parametrize("threads", ["0", "1,x", "", "2000"])
def test_threads_are_whole_numbers(threads: str) -> None:
    left = edgecnn("bench", "cifar10-ds", "--threads", threads)
    assert left.code == 2
    assert "is no list of whole numbers" in left.err


def test_a_model_that_can_not_be_used_is_exit_3_also_beside_one_that_can() -> None:
    bad = null_model(Path("a"), "bad.null", "{}")
    refused(edgecnn("bench", bad, *QUICK), 3, "bad.null: is no null model")
    left = edgecnn("bench", bad, null_model(Path("a")), *QUICK)
    refused(left, 3, "bad.null: is no null model")
    assert "not measured: bad.null in null" in left.out, "the other one's figures are there"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tflite-int8/model.tflite", "onnx-int8/model.onnx", "openvino-int8/model.xml"])
def test_malformed_files_end_in_a_sentence(form: str) -> None:
    """Bits turned over, and ends cut off: each is refused or measured, and none hangs."""
    random = np.random.default_rng(0)
    whole = (HERE / "models/cifar10-ds" / form).read_bytes()
    path = Path(Path(form).name)
    for number in range(8):
        content = bytearray(whole[: int(random.integers(1, len(whole)))] if number % 4 == 3 else whole)
        for place in random.integers(0, min(len(content), 20_000), 20):
            content[place] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        began = time.monotonic()
        left = edgecnn("bench", path, "--seconds", "0.1", "-q")
        assert left.code in (0, 2, 3), left.err
        assert time.monotonic() - began < 60, "two runtimes, each with its limit of 4 s, on a busy machine"
        if left.code:
            refused(left, left.code, path.name)


def printed(*rows: Row) -> str:
    out = io.StringIO()
    show_bench.benched(Console(file=out, width=120), record(*rows))
    return out.getvalue()


def test_what_is_wrong_with_rows_stands_below_them() -> None:
    throttled = "the device held itself back: throttled: 3 of 3 windows spoilt (84.2 C)"
    busy = "busy machine: other processes took 50 % of the machine's processor time (at most 10 %)"
    said = printed(row(), row(threads=2, valid=False, notes=(throttled,), against=(throttled,)))
    assert f"1 of 2 rows are invalid (!), at worst: {throttled}. Measure again when nothing holds the device" in said
    said = printed(row(valid=False, notes=(busy,), against=(busy,)))
    assert said.count("busy machine") == 1
    assert f"at worst: {busy}. Measure again when the machine is idle" in said


def test_valid_rows_of_which_windows_were_taken_again() -> None:
    spoilt = SpoiltWindow(Window(10, 1.0, 1.0), ("it was 81.0 C hot",), 81.0, None)
    said = printed(row(spoilt=(spoilt,), notes=("it was 81.0 C hot: 1 of 9 windows spoilt (81.0 C)",)))
    assert "the row has windows that were spoilt, left out and measured again, at most: it was 81.0 C hot: 1 of" in said
    assert "invalid" not in said


def test_how_hot_and_slow_the_device_was() -> None:
    readings = Readings(61.5, 1500.0, 0, None, "performance", 0, {})
    assert "the device meanwhile, at worst: 61.5 C, 1500 MHz" in printed(row(during=readings))
    assert "meanwhile" not in printed(row())


def test_a_curve_over_minutes() -> None:
    left = edgecnn("bench", null_model(Path("a")), *QUICK, "--sustained", "0.02", "--out", "x.json")
    assert left.code == 0, left.err
    assert re.search(r"model\.null null in null .*in 0\.02 min", left.out)
    assert Path("x-sustained.png").is_file()
    (curve,) = json.loads(Path("x.json").read_text())["sustained"]
    assert len(curve["buckets"]) >= 2
    assert {"at_s", "n", "p50_us", "p90_us", "temperature_c", "clock_mhz", "throttled"} == set(curve["buckets"][0])


def test_operators() -> None:
    left = edgecnn("bench", null_model(Path("a")), *QUICK, "--profile", "--out", "x.json")
    assert left.code == 0, left.err
    assert re.search(r"model\.null null in null: 2 operators, .* 50 % of it in integers", left.out)
    assert re.search(r"distances +Sub +numpy_f64 +[\d.]+ +50 +no", left.out)
    (found,) = json.loads(Path("x.json").read_text())["rows"]
    assert [set(op) for op in found["ops"]] == [{"name", "type", "kernel", "us", "integer"}] * 2


# --- its budget ------------------------------------------------------------------------------------------------------


def budgeted(budget: str) -> Path:
    """A model in a run whose recipe has a budget."""
    run = Path("runs/small")
    model = null_model(run / "export/first/null-fp32")
    text = "name: small\ndata: {source: cifar10}\nmodel: {arch: ds_cnn}\n"
    (run / "resolved.yaml").write_text(text + budget)
    return model


@pytest.fixture
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """That this machine is busy is none of a budget's tests' business."""
    monkeypatch.setattr("edgecnn.measuring.rows.too_busy", lambda *given: [])


@pytest.mark.usefixtures("_idle")
def test_a_budget_that_is_met_is_said() -> None:
    left = edgecnn("bench", budgeted("budget: {p90_ms: 1000, model_kib: 1}\n"), *QUICK, "--check")
    assert left.code == 0, left.err
    assert "within the budget: model.null null in null, 1 thread" in left.out


@pytest.mark.usefixtures("_idle")
def test_a_budget_that_is_missed_is_exit_7() -> None:
    model = budgeted("budget: {device: local, p90_ms: 0.000001, model_kib: 0.01}\n")
    left = edgecnn("bench", model, *QUICK, "--check", "--json")
    refused(left, 7, "the budget is not met: p90 ", "over the budget's 1e-06 ms: model.null null in null, 1 thread")
    refused(left, 7, "; model size 0.014 KiB, 0.004 KiB (37 %) over the budget's 0.01 KiB")
    assert len(json.loads(left.out)["budget"]["failures"]) == 2
    assert edgecnn("bench", model, *QUICK).code == 0, "nobody asked"


def test_a_budget_of_an_invalid_row_is_exit_7(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecnn.measuring.rows.too_busy", lambda *given: ["busy machine: planted"])
    refused(edgecnn("bench", budgeted("budget: {p90_ms: 1000}\n"), *QUICK, "--check"), 7, "no row is valid", "planted")


def test_a_budget_that_can_not_be_checked_is_exit_2() -> None:
    model = budgeted("budget: {device: raspberry-pi-4, p90_ms: 8}\n")
    left = edgecnn("bench", model, *QUICK, "--check")
    refused(left, 2, "resolved.yaml:4:10: the budget is for raspberry-pi-4, and this is ", "--device raspberry-pi-4")
    refused(edgecnn("bench", budgeted(""), *QUICK, "--check"), 2, "resolved.yaml: has no budget to check; add one")
    refused(edgecnn("bench", null_model(Path("a")), *QUICK, "--check"), 2, "name a run, or artifacts of one")
    assert not [*Path("runs/small").glob("bench/*")], "it is said before anything is measured"


# --- compare ---------------------------------------------------------------------------------------------------------


def compared(*arguments: object, after_us: float = 100.0, valid: bool = True) -> Left:
    write_json(Path("a.json"), record(row()))
    write_json(Path("b.json"), record(row(after_us, valid=valid), row(threads=2)))
    return edgecnn("compare", "a.json", "b.json", *arguments)


def test_what_moved() -> None:
    left = compared(after_us=102.0)
    assert left.code == 0, left.err
    assert re.search(r"ds_cifar tflite-int8 in litert +p50 +100 µs +102 µs +\+2\.0 % ", left.out)
    assert "only in b.json: ds_cifar tflite-int8 in litert, 2 threads" in left.out
    assert "nothing that was compared grew beyond 5 % for certain" in left.out


def test_slower_is_exit_7() -> None:
    refused(compared(after_us=120.0), 7, "b.json: 2 figures beyond 5 %", "p50_us 100, then 120 (+20.0 %)")
    assert compared("--tolerance", "30", after_us=120.0).code == 0
    left = compared("--json", after_us=120.0)
    assert left.code == 7
    assert [found["worse"] for found in json.loads(left.out)["rows"][0]["changes"]] == [True, True, False, False]


def test_a_gate_does_not_pass_because_the_machine_was_busy() -> None:
    left = compared(after_us=300.0, valid=False)
    refused(left, 2, "no times could be compared")
    assert "times not compared: invalid after" in left.out


def test_what_is_no_record() -> None:
    Path("a.json").write_text("{")
    refused(edgecnn("compare", "a.json", "a.json"), 3, "a.json: can't be read as JSON")
    refused(edgecnn("compare", "missing.json", "a.json"), 3, "missing.json: there is no such file")
    write_json(Path("b.json"), record())
    write_json(Path("c.json"), record(device="jetson"))
    refused(edgecnn("compare", "b.json", "c.json"), 2, "different devices: raspberrypi and jetson")
