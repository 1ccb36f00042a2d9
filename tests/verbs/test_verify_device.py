"""verify on a device: this machine through a real sshd; and faults that it must find over there."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import edgecnn
from edgecnn import packaged
from edgecnn.cli import main
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.measuring.worker import Worker
from edgecnn.metrics import Array
from edgecnn.proof.device import Answered, DeviceCertificate, float_parity, golden_parity
from edgecnn.records import read_json
from edgecnn.verbs.network import HALF_TOLERANCE
from edgecnn.verbs.verify_device import verify_on_device
from tests.loopback import Loopback, loopback, set_up

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Loopback) -> Path:
    monkeypatch.chdir(tmp_path)
    set_up(device, Path("devices"))
    shutil.copytree(packaged.folder("models") / "cifar10-ds", tmp_path / "export")
    return tmp_path / "export"


def test_the_same_files_answer_the_same_over_there(export: Path) -> None:
    found = verify_on_device(export, "loop", IMAGES, np.zeros(30, np.int64), sample=20)
    assert found == read_json(DeviceCertificate, export / "certificate-loop.json")
    assert found.passed
    assert found.n == 20
    assert {pair.a for pair in found.parity} == {"tflite-int8 in litert, here", "onnx-int8 in onnxruntime, here"}
    assert all(pair.exact == 1.0 and pair.max_steps == 0 for pair in found.parity)
    assert {pair.name for pair in found.float_parity} == {"tflite-fp32 in litert", "onnx-fp32 in onnxruntime"}
    assert all(kept.n == 8 for kept in found.golden)
    assert set(found.accuracy) == {kept.name for kept in found.golden}


def test_only_the_engines_asked_for_run_over_there(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify_on_device(export, "loop", IMAGES, sample=5, runtimes=["litert"])
    assert {kept.name for kept in found.golden} == {"tflite-int8 in litert", "tflite-fp32 in litert"}
    with pytest.raises(UsageError, match="unknown runtime 'litrt'; did you mean 'litert'"):
        verify_on_device(export, "loop", IMAGES, sample=5, runtimes=["litrt"])
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(export), "--runtime", "litert"])
    assert ended.value.code == 2
    assert "--runtime is for --device" in capsys.readouterr().err


def test_int8_files_that_answer_in_floats_are_held_to_steps(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    floats = export.parent / "floats"
    told = {"input_size": 32, "calibration": IMAGES, "mean": (0.5,) * 3, "std": (0.25,) * 3, "out": floats}
    edgecnn.export(small_net(), int8=True, answers="float32", targets=["tflite", "onnx"], **told)
    found = verify_on_device(floats, "loop", IMAGES, sample=10)
    assert found.passed, found.failures
    assert found.float_parity == ()
    assert {pair.max_steps for pair in found.parity} == {0}
    assert {kept.exact for kept in found.golden} == {1.0}
    scale = edgecnn.load(floats / "onnx-int8").manifest.output.scale
    assert scale is not None
    honest = Worker.classify
    monkeypatch.setattr(Worker, "classify", lambda *given: honest(*given) + np.float32(3 * scale))
    assert {pair.max_steps for pair in verify_on_device(floats, "loop", IMAGES, sample=10).parity} == {3}


def test_fp16_files_are_held_to_their_own_tolerance(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers may lie apart by rounding to float16, which would be far too much in fp32."""
    half = export.parent / "half"
    edgecnn.export(
        small_net(),
        input_size=32,
        calibration=IMAGES,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        fp16=True,
        targets=["tflite", "onnx"],
        out=half,
    )
    found = verify_on_device(half, "loop", IMAGES, sample=10)
    assert found.passed, found.failures
    pairs = {pair.name: pair for pair in found.float_parity}
    assert set(pairs) == {"tflite-fp16 in litert", "onnx-fp16 in onnxruntime"}
    assert {pair.tolerance for pair in pairs.values()} == {HALF_TOLERANCE}
    honest = Worker.classify
    monkeypatch.setattr(Worker, "classify", lambda *given: honest(*given) * np.float32(1 + HALF_TOLERANCE / 2))
    assert verify_on_device(half, "loop", IMAGES, sample=10).passed
    monkeypatch.setattr(Worker, "classify", lambda *given: honest(*given) * np.float32(1 + 2 * HALF_TOLERANCE))
    found = verify_on_device(half, "loop", IMAGES, sample=10)
    assert not found.passed
    assert any("tflite-fp16 in litert: differs from here by" in failure for failure in found.failures)


def small_net() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(8, 5)).eval()


def test_other_answers_over_there_are_a_failure(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Worker.classify

    def turned(self: Worker, images: Array, seconds: float) -> Array:
        return np.roll(honest(self, images, seconds), 1, axis=1)

    monkeypatch.setattr(Worker, "classify", turned)
    found = verify_on_device(export, "loop", IMAGES, sample=10)
    assert not found.passed
    assert any("tflite-int8 in litert, loop agrees with here on" in failure for failure in found.failures)
    assert any("tflite-fp32 in litert: differs from here by" in failure for failure in found.failures)
    assert not found.accuracy, "nobody said the classes"
    assert found.scope == "parity only"


def test_a_changed_file_is_refused(export: Path) -> None:
    with (export / "tflite-int8/model.tflite").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UnusableFile, match="damaged or was changed"):
        verify_on_device(export, "loop", IMAGES)


def test_engines_that_read_nothing_of_it(export: Path, device: Loopback) -> None:
    set_up(device, Path("devices"), runtimes=["null"])
    with pytest.raises(UsageError, match="none of its files is read by null"):
        verify_on_device(export, "loop", IMAGES)


def test_golden_values_are_counted_to_the_bit() -> None:
    values = np.arange(20, dtype=np.uint8).reshape(2, 10)
    moved = values.copy()
    moved[0, 0] += 3
    found = Answered("x", values, values, values, moved, 1e-4)
    assert golden_parity(found).exact == 0.95
    assert golden_parity(found).apart == 3
    floats = dataclasses.replace(found, here=values.astype(np.float32), there=moved.astype(np.float32))
    assert float_parity(floats).apart == pytest.approx(3 / 19)
