"""The packaged models: their certificates keep what the README promises, and their files are what they claim."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.data import DataSpec, open_dataset
from edgecnn.edge import artifact
from edgecnn.edge.artifact import Manifest, Prediction, read_manifest
from edgecnn.errors import UsageError
from edgecnn.formats import find_format, labels_of
from edgecnn.formats.tflite.builder import schema, unpack
from edgecnn.graph.edit import from_onnx
from edgecnn.packaged import find_model
from edgecnn.proof.certificate import Certificate
from edgecnn.records import read_json
from edgecnn.storage import sha256_file
from edgecnn.verbs.folders import read_export

PROMISED = {"cifar10-ds": 0.913, "cifar10-mobile": 0.915}
"""Top-1 of the fp32 graph on the test split, by packaged model."""
OPERATORS = {
    "cifar10-ds": {"CONV_2D": 8, "DEPTHWISE_CONV_2D": 7, "ADD": 3, "MEAN": 1, "FULLY_CONNECTED": 1},
    "cifar10-mobile": {"CONV_2D": 23, "DEPTHWISE_CONV_2D": 11, "ADD": 8, "MEAN": 1, "FULLY_CONNECTED": 1},
}
ARTIFACTS = [f"{target}-{precision}" for target in ("tflite", "onnx", "openvino") for precision in ("fp32", "int8")]


@pytest.fixture(scope="module", params=PROMISED)
def folder(request: pytest.FixtureRequest) -> Path:
    found = find_model(request.param)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def certificate(folder: Path) -> Certificate:
    return read_json(Certificate, folder / "certificate.json")


def test_accuracy_on_the_whole_test_split(folder: Path, certificate: Certificate) -> None:
    assert certificate.passed
    assert certificate.n == 10_000
    assert certificate.accuracy["fp32"] >= PROMISED[folder.name]
    assert set(certificate.accuracy) == {"fp32", *ARTIFACTS}
    assert max(certificate.drop_pp.values()) <= 0.3


def test_parity_of_runtimes(certificate: Certificate) -> None:
    pairs = {frozenset((pair.a, pair.b)): pair for pair in certificate.parity}
    ours = pairs[frozenset(("tflite-int8", "onnx-int8"))]
    assert ours.within_1 >= 0.9999
    assert ours.max_steps <= 2
    assert ours.top1_agreement >= 0.999
    for pair in certificate.parity:
        assert pair.top1_agreement >= 0.99
        assert pair.unexplained == 0


def test_logits_use_their_grid(certificate: Certificate) -> None:
    assert certificate.logit_grid is not None
    assert certificate.logit_grid.levels >= 64


@pytest.mark.parametrize("name", ARTIFACTS)
def test_certificate_is_about_these_files(folder: Path, certificate: Certificate, name: str) -> None:
    manifest = read_manifest(folder / name)
    assert certificate.hashes[f"{name}/{manifest.model}"] == manifest.sha256
    artifact.check_files(folder / name, manifest)
    assert manifest.parents["checkpoint"] == sha256_file(folder / "checkpoint" / "model.safetensors")
    assert (folder / name / "labels.txt").read_text().split() == list(manifest.labels)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_golden_answers_come_out_again(folder: Path, name: str) -> None:
    opened = artifact.load(folder / name)
    with np.load(folder / name / "golden.npz") as golden:
        raw = opened.raw(golden["images"])
        apart = np.abs(raw.astype(float) - golden["outputs"])
    assert raw.dtype == (np.uint8 if name.endswith("int8") else np.float32)
    assert apart.max() <= (2 if name.endswith("int8") else 1e-4 * np.abs(raw).max())


def test_calibration_was_on_training_pictures(folder: Path, certificate: Certificate) -> None:
    manifests: list[Manifest] = [read_manifest(folder / name) for name in ARTIFACTS if name.endswith("int8")]
    calibrations = {manifest.calibration for manifest in manifests}
    assert len(calibrations) == 1, "one calibration for all"
    (calibration,) = calibrations
    assert calibration is not None
    assert calibration.images == 512
    assert calibration.sha256 not in (certificate.test_data, read_export(folder).train_data)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_tflite_operators(folder: Path, precision: str) -> None:
    model = unpack((folder / f"tflite-{precision}" / "model.tflite").read_bytes())
    graph = model.subgraphs[0]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [names[model.operatorCodes[operator.opcodeIndex].builtinCode] for operator in graph.operators]
    ends = ["QUANTIZE", "QUANTIZE"] if precision == "int8" else ["DEQUANTIZE"]
    assert Counter(codes) == Counter(OPERATORS[folder.name]) + Counter(ends)
    kinds = {graph.tensors[i].type for operator in graph.operators for i in operator.outputs}
    inside = schema.TensorType.INT8 if precision == "int8" else schema.TensorType.FLOAT32
    assert kinds - {schema.TensorType.UINT8} == {inside}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_each_model_file_says_alone_what_the_manifest_says(folder: Path, name: str) -> None:
    manifest = read_manifest(folder / name)
    found = find_format(manifest.target).details(folder / name / manifest.model)
    assert labels_of(found) == manifest.labels
    assert (found["name"], found["resize"], found["output"]) == (
        manifest.name,
        manifest.input.resize,
        manifest.output.kind,
    )
    if manifest.output.scale is not None and manifest.target != "tflite":  # whose tensors have grids of their own
        assert (float(found["output_scale"]), int(found["output_zero_point"])) == (
            manifest.output.scale,
            manifest.output.zero_point,
        )


def test_tflite_files_take_less_than_a_second(folder: Path, tmp_path: Path) -> None:
    seconds = 0.0
    for precision in ("fp32", "int8"):
        graph = from_onnx(onnx.load(folder / f"{precision}.onnx"))
        packaged = folder / f"tflite-{precision}" / "model.tflite"
        details = find_format("tflite").details(packaged)
        began = time.perf_counter()
        find_format("tflite").write(graph, tmp_path, details)
        seconds += time.perf_counter() - began
        assert (tmp_path / "model.tflite").read_bytes() == packaged.read_bytes(), "the same graph gives the same file"
    assert seconds < 1.0


def test_onnxruntime_runs_it_in_integers(folder: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    onnxruntime.InferenceSession(folder / "onnx-int8" / "model.onnx", options, providers=["CPUExecutionProvider"])
    counted = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    operators = OPERATORS[folder.name]
    assert counted["QLinearConv"] == operators["CONV_2D"] + operators["DEPTHWISE_CONV_2D"]
    assert counted["QLinearAdd"] == operators["ADD"]
    assert not {"Conv", "Gemm", "Add", "DequantizeLinear", "QuantizeLinear"} & set(counted)


def test_bundled_pictures_agree_with_the_certificate(folder: Path, certificate: Certificate) -> None:
    """1,000 of the 10,000 test pictures: the accuracy lies within four standard errors of the certificate's."""
    pictures = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("test")
    raw = artifact.load(folder / "tflite-int8").raw(pictures.images)
    found = float((raw.argmax(axis=1) == pictures.classes).mean())
    expected = certificate.accuracy["tflite-int8"]
    assert abs(found - expected) <= 4 * (expected * (1 - expected) / 1000) ** 0.5


def test_a_runtime_that_does_not_read_the_format_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime does not read tflite files; choose from litert"):
        artifact.load(folder / "tflite-int8", "onnxruntime")


@pytest.fixture(scope="module")
def loaded() -> artifact.Artifact:
    folder = find_model("cifar10-ds")
    assert folder is not None
    return artifact.load(folder / "onnx-int8")


@given(drawn=st.lists(st.integers(0, 6), min_size=10, max_size=10), top=st.integers(1, 12))
def test_the_likeliest_come_first_and_of_equal_ones_the_lower_class(
    loaded: artifact.Artifact, drawn: list[int], top: int
) -> None:
    shares = np.array(drawn, np.float32) / 64
    expected = sorted(zip(-shares, range(10), strict=True))[:top]
    found = loaded.likeliest(shares, top)
    assert found == tuple(Prediction(loaded.manifest.labels[index], -share) for share, index in expected)
