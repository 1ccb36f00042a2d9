"""What operators take, from the engines that tell; and an int8 model that runs in floating point is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.runtimes import OpTime, Profile, find_runtime, typical_us
from edgecnn.errors import UnusableFile
from edgecnn.measuring.measurement import Protocol
from edgecnn.measuring.place import Here
from edgecnn.measuring.profiling import float_note, integer_share, profile_each, profiled
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.turns import Entry
from edgecnn.packaged import HERE
from tests.verbs.small_bench import null_model, row

MODELS = HERE / "models/cifar10-ds"
IMAGE = np.zeros((1, 32, 32, 3), np.uint8)


def profile_of(runtime: str, file: str, runs: int = 10) -> Profile:
    return find_runtime(runtime).profile(MODELS / file, 1, [IMAGE], runs)


TELLING = [
    ("onnxruntime", "onnx", "model.onnx"),
    ("openvino", "openvino", "model.xml"),
    ("openvino", "onnx", "model.onnx"),
]


@pytest.mark.parametrize(("runtime", "target", "file"), TELLING)
def test_int8_runs_as_int8_and_fp32_does_not(runtime: str, target: str, file: str) -> None:
    quantized, exact = (profile_of(runtime, f"{target}-{precision}/{file}") for precision in ("int8", "fp32"))
    for found in (quantized, exact):
        assert found.reason is None
        assert len({op.name for op in found.ops}) == len(found.ops) >= 15, "an operator each, whatever the runs"
        assert all(op.us >= 0 and op.type for op in found.ops)
        assert sum(op.us for op in found.ops) > 10
    convolutions = [op for op in quantized.ops if "conv" in op.type.lower()]
    assert len(convolutions) == 15, "a stem, seven depthwise and seven pointwise ones"
    assert all(op.integer for op in convolutions)
    assert integer_share(quantized.ops) == 1.0
    assert not any(op.integer for op in exact.ops if "conv" in op.type.lower())
    assert integer_share(exact.ops) < 0.3  # type: ignore[operator]


@pytest.mark.parametrize(("runtime", "target", "file"), TELLING)
def test_a_model_called_int8_that_runs_in_float_is_told(runtime: str, target: str, file: str) -> None:
    found = profiled(row(precision="int8"), profile_of(runtime, f"{target}-fp32/{file}"))
    assert "int8 ran in floating point in " in found.notes[-1]
    assert " more" in found.notes[-1]
    assert not any("floating" in note for note in profiled(row(precision="fp32"), Profile(found.ops)).notes)


def test_what_litert_does_not_tell_is_absent_with_its_reason() -> None:
    found = profiled(row(), profile_of("litert", "tflite-int8/model.tflite"))
    assert found.ops == ()
    assert found.notes[-1] == "no ops: LiteRT's Python interpreter does not tell what an operator takes"


def test_what_can_not_be_opened_is_refused() -> None:
    for runtime, file in (("onnxruntime", "none.onnx"), ("openvino", "none.xml")):
        with pytest.raises(UnusableFile, match="none"):
            profile_of(runtime, file)


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    paths = [null_model(tmp_path), tmp_path / "missing.null"]
    entries = [Entry(Subject(path.name, "null", None, path, {}, 100), find_runtime("null"), 1) for path in paths]
    good, bad = profile_each(entries, Protocol(1.0, 0.01), (8, 8), Here(), lambda text: None)
    assert [(op.name, op.integer) for op in good.ops] == [("mean", True), ("distances", False)]
    assert good.ops[0].us > 0
    assert bad.ops == ()
    assert "missing.null" in (bad.reason or "")


def op(us: float, integer: bool | None, name: str = "x") -> OpTime:
    return OpTime(name, "Conv", "k", us, integer)


def test_shares_are_of_time() -> None:
    assert integer_share([op(3.0, True), op(1.0, False), op(100.0, None)]) == 0.75
    assert integer_share([op(1.0, None)]) is None
    assert integer_share([]) is None
    assert float_note([op(1.0, True), op(1.0, None)]) == []
    assert float_note([op(3.0, True), op(1.0, False, "tanh")]) == [
        "int8 ran in floating point in 1 of 2 operators, 25 % of their time: tanh (Conv, k)"
    ]


def test_a_run_that_was_put_off_does_not_count() -> None:
    assert typical_us([5.0, 6.0] * 9 + [4000.0, 9000.0]) == 5.5
    assert typical_us([7.0]) == 7.0
