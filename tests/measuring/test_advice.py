"""What is advised, from rows by hand."""

from __future__ import annotations

from typing import Any

from edgecnn.measuring.advice import advise
from edgecnn.measuring.measurement import Row
from tests.verbs.small_bench import record, row


def int8(p50_us: float, **changed: Any) -> Row:
    return row(p50_us, **{"top1": 0.9085, "model_bytes": 204_800, **changed})


def fp32(p50_us: float, **changed: Any) -> Row:
    return row(p50_us, **{"precision": "fp32", "top1": 0.9087, "model_bytes": 819_200, **changed})


def test_the_example() -> None:
    rows = [fp32(1400.0), fp32(943.0, threads=2), int8(700.0), int8(410.0, threads=2), int8(380.0, threads=4)]
    assert advise(record(*rows)) == (
        "ds_cifar on raspberrypi: ship tflite int8 in litert with 2 threads: 0.41 ms, 5.0 MiB of memory, 200 KiB; 2.3x "
        "faster than fp32, 25 % of its size; 0.02 points less accurate; 4 threads bring 8 % more; next comes tflite "
        "fp32 in litert with 2 threads, which takes 2.3x as long."
    )


def test_a_difference_within_the_spread_is_a_tie_and_the_simpler_is_taken() -> None:
    big = int8(400.0, spread=0.05, runtime="onnxruntime", target="onnx", model_bytes=400_000)
    said = advise(record(big, int8(410.0, spread=0.05)))
    assert "ship tflite int8 in litert with 1 thread" in said
    assert "a tie within the spread with onnx int8 in onnxruntime with 1 thread" in said
    said = advise(record(big, int8(600.0, spread=0.05)))
    assert "ship onnx int8 in onnxruntime" in said
    assert "next comes tflite int8 in litert with 1 thread, which takes 50 % longer" in said


def test_threads_that_bring_nothing_are_not_advised() -> None:
    said = advise(record(int8(400.0), int8(398.0, threads=2), int8(700.0, threads=4)))
    assert "with 1 thread: 0.40 ms" in said
    assert "more threads bring nothing" in said


def test_invalid_rows_are_not_heard() -> None:
    said = advise(record(int8(10.0, threads=4, valid=False), int8(400.0)))
    assert "with 1 thread" in said
    assert "it is the only valid row" in said
    assert said.endswith("1 invalid row was left out.")
    assert "10.0" not in said


def test_without_a_valid_row_there_is_no_advice() -> None:
    said = advise(record(int8(10.0, valid=False)))
    assert said == "No advice for raspberrypi: no row is valid, so nothing is known about it."


def test_what_loses_too_much_is_not_advised() -> None:
    said = advise(record(int8(100.0, top1=0.80), fp32(900.0)))
    assert "ship tflite fp32" in said
    assert "90.87 % accurate" in said


def test_int8_that_is_no_faster_is_still_smaller() -> None:
    said = advise(record(int8(1000.0, spread=0.05), fp32(1001.0, spread=0.05)))
    assert "ship tflite int8" in said
    assert "as fast as fp32 within the spread, 25 % of its size" in said


def test_files_of_unknown_origin() -> None:
    said = advise(record(row(50.0, model="net.tflite", precision=None, top1=None)))
    assert said.startswith("net.tflite on raspberrypi: ship tflite in litert with 1 thread: 50.0 µs, ")
    assert "its accuracy is not known" in said


def test_each_model_has_its_own() -> None:
    said = advise(record(int8(400.0), int8(300.0, model="other"), int8(1.0, model="third", valid=False)))
    assert "ds_cifar on raspberrypi: ship" in said
    assert "other on raspberrypi: ship" in said
    assert "third: no advice, no row is valid." in said


def test_fp16_is_compared_with_fp32_as_int8_is() -> None:
    half = row(900.0, precision="fp16", top1=0.9087, model_bytes=409_600)
    said = advise(record(half, fp32(1400.0)))
    assert "ship tflite fp16 in litert with 1 thread" in said
    assert "1.6x faster than fp32, 50 % of its size; as accurate as fp32" in said


def test_of_fp16_and_fp32_that_are_as_fast_the_smaller_is_taken() -> None:
    half = row(1400.0, precision="fp16", top1=0.9087, model_bytes=409_600)
    said = advise(record(half, fp32(1400.0)))
    assert "ship tflite fp16 in litert with 1 thread" in said
    assert "as fast as fp32 within the spread, 50 % of its size" in said
