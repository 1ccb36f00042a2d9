"""int8 files that answer in floats, by flag and by recipe: proved like the others, and faults in them are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecnn.edge import artifact
from edgecnn.edge.artifact import Artifact
from edgecnn.formats import find_format
from edgecnn.graph.edit import from_onnx
from edgecnn.graph.program import read_program
from tests.verbs.plant import PLANTERS
from tests.verbs.small_runs import SmallRun, bundled, edgecnn

TARGETS = ("tflite", "onnx", "openvino")
IMAGES = np.ascontiguousarray(bundled("val").images[:20, ::2, ::2])


def opened(export: str, target: str) -> Artifact:
    return artifact.load(Path(export) / f"{target}-int8")


@pytest.mark.slow
def test_the_same_values_in_floats_and_the_same_proof(small_run: SmallRun) -> None:
    for answers in ("uint8", "float32"):
        left = edgecnn("export", small_run.run, "--int8", "--heatmap", "--answers", answers, "--out", answers)
        assert left.code == 0, left.err
    certificates = [json.loads(edgecnn("verify", name, "--json").out) for name in ("uint8", "float32")]
    assert all(found["passed"] for found in certificates)
    assert certificates[0]["parity"] == certificates[1]["parity"], "to the step"
    for target in TARGETS:
        integers, floats = opened("uint8", target), opened("float32", target)
        assert (floats.manifest.output.dtype, floats.raw(IMAGES).dtype) == ("float32", np.float32)
        assert floats.manifest.output.scale == integers.manifest.output.scale
        about = find_format(target).details(floats.folder / floats.manifest.model)
        assert not {"output_scale", "output_zero_point"} & about.keys(), "they would be obeyed a second time"
        assert np.array_equal(floats.points(floats.raw(IMAGES)), integers.raw(IMAGES))
        assert np.allclose(floats.values(floats.raw(IMAGES)), integers.values(integers.raw(IMAGES)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_fault_in_the_last_rounding_is_found(small_run: SmallRun, target: str) -> None:
    asked = ("--int8", "--target", target, "--answers", "float32", "--out", "planted")
    assert edgecnn("export", small_run.run, *asked).code == 0
    last = read_program(from_onnx(onnx.load("planted/int8.onnx"))).ops[-1].name
    rounding = "logits" if target == "openvino" else last
    PLANTERS[target]["zero point moved"](Path("planted") / f"{target}-int8", rounding)
    left = edgecnn("verify", "planted", "--json")
    assert left.code == 7
    (report,) = json.loads(left.out)["layers"]
    (wrong,) = [layer for layer in report["layers"] if layer["reason"]]
    assert wrong["layer"] == last


@pytest.mark.slow
def test_answers_beside_their_grid_are_found(small_run: SmallRun) -> None:
    """The last dequantization's scale alone is wrong, by less than a step: no integer would tell."""
    assert (
        edgecnn("export", small_run.run, "--int8", "--target", "onnx", "--answers", "float32", "--out", "p").code == 0
    )
    path = Path("p/onnx-int8/model.onnx")
    model = onnx.load(path)
    last = next(node for node in model.graph.node if node.output[0] == "logits")
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == last.input[1])
    wrong = numpy_helper.from_array(np.float32(numpy_helper.to_array(scale) * 1.005), "wrong")
    model.graph.initializer.append(wrong)
    last.input[1] = "wrong"
    onnx.save(model, path)
    left = edgecnn("verify", "p")
    assert left.code == 7
    assert "of a step beside their grid" in left.err + left.out


@pytest.mark.slow
def test_by_recipe_and_by_flag(small_run: SmallRun) -> None:
    asked = ("export", small_run.run, "--int8", "--target", "onnx")
    resolved = small_run.run / "resolved.yaml"
    text = resolved.read_text()
    assert "answers: uint8" in text
    resolved.write_text(text.replace("answers: uint8", "answers: float32"))
    edgecnn(*asked, "--out", "recipe")
    edgecnn(*asked, "--answers", "uint8", "--out", "flag")
    dtypes = [artifact.read_manifest(Path(name) / "onnx-int8").output.dtype for name in ("recipe", "flag")]
    assert dtypes == ["float32", "uint8"]


def test_answers_that_make_no_sense(small_run: SmallRun) -> None:
    left = edgecnn("export", small_run.run, "--fp32", "--answers", "float32")
    assert (left.code, left.err.strip()) == (2, "error: answers is for int8 files, and none is asked for")
    assert edgecnn("export", small_run.run, "--int8", "--answers", "float16").code == 2
