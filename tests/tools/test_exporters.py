"""tools/exporters: what is read from and written to the journal, how files are fed, and what the table says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.runtimes import Port, format_of
from edgecnn.errors import UsageError
from edgecnn.formats import all_formats
from edgecnn.packaged import HERE
from tools.exporters import operators
from tools.exporters.accuracy import compare, points
from tools.exporters.exporter import OURS, all_exporters, find_exporter, normalised
from tools.exporters.journal import Accuracy, Converted, Journal, Key, Latency, Operators
from tools.exporters.latency import in_turns, ratio
from tools.exporters.sessions import inputs_for, logits_of
from tools.exporters.table import report

PACKAGED = HERE / "models/cifar10-ds"
OUR_KEY, THEIR_KEY = Key("cifar10-ds", OURS, "onnx"), Key("cifar10-ds", "onnxruntime", "best")


def converted(key: Key, sha256: str = "a") -> Converted:
    return Converted(key, "onnx", "build/x.onnx", 2048, sha256, 3.0, 3, 646.0, 0.0, {"onnxruntime": "1.31.1"})


def timed(key: Key, sha256: str = "a") -> Latency:
    return Latency(key, sha256, "onnxruntime 1.31.1", 1, 100, 200, 150.0, 152.0, (1.026, 1.02, 1.031), "avx", 0.5)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)


def test_ours_comes_first_and_every_setting_writes_a_known_format() -> None:
    found = all_exporters()
    assert next(iter(found)) == OURS
    assert {"litert-torch", "onnxruntime", "nncf"} < set(found)
    for exporter in found.values():
        assert {setting.form for setting in exporter.settings} <= set(all_formats())
        assert all("==" in package or package.startswith(".") for package in exporter.requires)
    with pytest.raises(UsageError, match="onnxruntime"):
        find_exporter("onxruntime")


def test_the_journal_keeps_the_newest_of_each_kind_and_is_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "lines/found.jsonl")
    records = [converted(OUR_KEY), converted(THEIR_KEY), timed(THEIR_KEY), converted(OUR_KEY, "b")]
    for record in records:
        journal.add(record)
    again = Journal(tmp_path / "lines/found.jsonl")
    assert again.find(Converted, OUR_KEY) == converted(OUR_KEY, "b")
    assert again.find(Latency, THEIR_KEY) == timed(THEIR_KEY)
    assert again.find(Latency, OUR_KEY) is None
    assert again.all(Converted) == [converted(OUR_KEY, "b"), converted(THEIR_KEY)]


def test_a_line_that_was_not_finished_is_left_out_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    Journal(path).add(converted(OUR_KEY))
    with path.open("a") as file:
        file.write('{"kind": "conv')
    Journal(path).add(converted(THEIR_KEY))
    assert Journal(path).all(Converted) == [converted(OUR_KEY), converted(THEIR_KEY)]


@pytest.mark.parametrize(
    ("port", "decoded"),
    [
        (Port("image", (1, 32, 32, 3), "uint8"), lambda x: (x - 128.0) / 128.0),
        (Port("image", (1, 3, 32, 32), "float32"), lambda x: x.transpose(0, 2, 3, 1)),
        (Port("image", (1, 32, 32, 3), "float32"), lambda x: x),
        (Port("image", (1, 32, 32, 3), "uint8", 1 / 128, 128), lambda x: (x - 128.0) / 128.0),
        (Port("image", (1, 32, 32, 3), "int8", 1 / 128, 0), lambda x: x / 128.0),
    ],
)
def test_a_file_is_fed_the_same_values_in_its_own_form(port: Port, decoded) -> None:
    given = pictures(2)
    fed = inputs_for(port, given)
    assert fed.dtype == port.dtype
    assert fed.shape[1:] == port.shape[1:]
    np.testing.assert_allclose(decoded(fed.astype(np.float64)), (given - 128.0) / 128.0)


def test_points_are_positive_where_the_second_is_worse() -> None:
    right = np.ones(1000, bool)
    worse = right.copy()
    worse[:20] = False
    middle, low, high = points(right, worse)
    assert middle == pytest.approx(2.0)
    assert low < 2.0 < high
    assert low > 0.0


def test_accuracy_is_against_fp32_and_against_ours() -> None:
    classes = np.arange(100) % 10
    fp32 = np.eye(10)[classes]
    ours, theirs = fp32.copy(), fp32.copy()
    ours[:2], theirs[:5] = np.roll(fp32[:2], 1, axis=1), np.roll(fp32[:5], 1, axis=1)
    found = compare(converted(THEIR_KEY), theirs, fp32, ours, classes)
    assert (found.top1, found.fp32_top1, found.same_answer) == (0.95, 1.0, 0.95)
    assert found.drop_pp[0] == pytest.approx(5.0)
    assert found.behind_ours_pp[0] == pytest.approx(3.0)


def test_a_ratio_is_taken_round_by_round() -> None:
    busy = np.array([1.0, 10.0, 1.0, 5.0])
    assert ratio(1.5 * busy, busy) == (1.5, 1.5, 1.5)


def test_files_take_turns_and_every_one_begins_a_round() -> None:
    order: list[str] = []

    class Fake:
        def __init__(self, name: str) -> None:
            self.name = name

        def window_us(self, inferences: int) -> float:
            order.append(self.name)
            return 1000.0

    us, inferences = in_turns([Fake("a"), Fake("b"), Fake("c")], 3)  # type: ignore[list-item]
    assert "".join(order[5:]) == "abcbcacab"  # after the five that say how long a window is
    assert us == [[1000.0] * 3] * 3
    assert inferences == 30


def test_the_table_has_what_was_measured_of_this_very_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "found.jsonl")
    accuracy = Accuracy(THEIR_KEY, "a", 10_000, 0.9125, 0.9133, (0.08, -0.05, 0.21), 0.3, (0.02, -0.09, 0.13), 0.99)
    for record in (
        converted(OUR_KEY),
        dataclasses.replace(converted(THEIR_KEY), torch_mb=600.0),
        accuracy,
        Operators(THEIR_KEY, "a", {"QLinearConv": 15, "ReduceMean": 1}, {"QuantizeLinear": 2}, {"ReduceMean": 1}),
        timed(THEIR_KEY),
        timed(OUR_KEY, "of another file"),
    ):
        journal.add(record)
    text = report(journal, ["cifar10-ds"], all_exporters())
    ours, theirs = (line for line in text.splitlines() if line.startswith(("| edgecnn", "| onnxruntime")))
    assert theirs == (
        "| onnxruntime, best | onnxruntime 1.31.1 | 91.25 % | +0.08 (-0.05 .. +0.21) | +0.02 (-0.09 .. +0.13) | 2 "
        "| 16 (1; 2) | 1.026 (1.020 .. 1.031) | 3.0 | 46 + 600 torch |"
    )
    assert "152 µs" not in ours
    assert "10,000 test pictures; fp32: 91.33 %" in text
    assert "onnxruntime 1.31.1" in text.splitlines()[-2]


@pytest.mark.parametrize("name", ["tflite-int8/model.tflite", "onnx-int8/model.onnx", "openvino-int8/model.xml"])
def test_our_packaged_files_compute_in_integers(name: str) -> None:
    path = PACKAGED / name
    kinds, conversions, floats = operators.count(path, format_of(path))
    assert not floats
    assert sum(kinds.values()) >= 17  # 15 convolutions, a mean, a dense layer; sums may be fused into convolutions
    assert set(conversions) <= {"QUANTIZE"}


@pytest.mark.parametrize("name", ["tflite-fp32/model.tflite", "onnx-fp32/model.onnx", "openvino-fp32/model.xml"])
def test_a_float_file_is_seen_to_compute_in_float(name: str) -> None:
    path = PACKAGED / name
    _, _, floats = operators.count(path, format_of(path))
    assert sum(floats.values()) >= 15


def test_logits_are_the_same_however_a_file_is_fed() -> None:
    given = pictures(4)
    fp32 = logits_of(PACKAGED / "onnx-fp32/model.onnx", given)
    tflite = logits_of(PACKAGED / "tflite-fp32/model.tflite", given)
    np.testing.assert_allclose(tflite, fp32, atol=1e-4)
    assert normalised(given).min() >= -1.0
