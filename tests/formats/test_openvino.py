"""What only the OpenVINO file has: pixels that are shifted once, and roundings of others to whole numbers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import pytest

from edgecnn.edge.runtimes import find_runtime
from edgecnn.edge.runtimes.openvino import library
from edgecnn.formats import find_format, openvino
from edgecnn.graph.edit import Array, from_onnx
from edgecnn.graph.program import read_program
from edgecnn.packaged import HERE


def written(folder: Path, precision: str = "int8") -> Path:
    """The packaged net as an OpenVINO file."""
    folder.mkdir()
    find_format("openvino").write(from_onnx(onnx.load(HERE / f"models/cifar10-ds/{precision}.onnx")), folder, {})
    return folder / "model.xml"


def kinds_of_pixels(path: Path) -> set[str]:
    """What kind of node gives the image's values in a file."""
    outputs = [output for node in library().Core().read_model(path).get_ops() for output in node.outputs()]
    return {output.get_node().get_type_name() for output in outputs if "pixels" in output.get_names()}


def test_shifting_the_pixels_first_changes_no_logit(tmp_path: Path) -> None:
    with patch.object(openvino, "compute_in_whole_numbers", lambda *given: None):
        shifted = written(tmp_path / "shifted")
        with patch.object(openvino, "_shift_pixels_once", lambda *given: None):
            plain = written(tmp_path / "plain")
    assert kinds_of_pixels(shifted) == {"FakeQuantize"}
    assert kinds_of_pixels(plain) == {"Multiply"}
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3)).astype(np.uint8)
    images[0], images[1] = 0, 255
    one, other = (find_runtime("openvino").open(path, 1) for path in (shifted, plain))
    for image in images:
        np.testing.assert_array_equal(one.run(image[None]), other.run(image[None]))


@pytest.mark.parametrize(("precision", "kind"), [("int8", "FakeQuantize"), ("fp32", "Multiply")])
def test_only_an_int8_file_has_its_pixels_on_a_grid(precision: str, kind: str, tmp_path: Path) -> None:
    assert kinds_of_pixels(written(tmp_path / precision, precision)) == {kind}


# --- rounding to whole numbers ----------------------------------------------------------------------------------------


def foreign(folder: Path, per_step: Array, ends: tuple[float, float, float, float], takers: int = 1) -> Path:
    """A convolution, a product, a rounding and a FakeQuantize, as nobody of ours wrote them."""
    module = library()
    ops, five = import_module("openvino.opset8"), import_module("openvino.opset5")
    image = ops.parameter([1, 3, 8, 8], np.float32, name="image")
    weights = ops.constant(np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32))
    convolved = ops.convolution(image, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    product = ops.multiply(convolved, ops.constant(per_step))
    rounded = five.round(product, "half_to_even")
    limits = [ops.constant(np.float32(end)) for end in ends]
    results = [ops.relu(ops.fake_quantize(rounded, *limits, 256)), *([product] * (takers - 1))]
    module.save_model(module.Model(results, [image]), folder / "model.xml", compress_to_fp16=False)
    return folder / "model.xml"


UNDONE = (-100.0, 155.0, -50.0, 77.5)
"""Ends that undo a division by a half."""


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)])
def test_a_division_that_is_undone_belongs_to_the_rounding(shape: tuple[int, ...], tmp_path: Path) -> None:
    listing = find_format("openvino").listing(foreign(tmp_path, np.full(shape, 2.0, np.float32), UNDONE))
    assert [each.kind for each in listing.operations] == ["conv", "relu"]
    grid = listing.operations[0].outputs[0].quantization
    assert grid is not None
    assert (grid.scales.tolist(), grid.zero_points.tolist()) == ([0.5], [100])


@pytest.mark.parametrize(
    ("per_step", "ends", "takers"),
    [
        (np.float32(10.0), (0.0, 255.0, 0.0, 255.0), 1),
        (np.float32(-2.0), UNDONE, 1),
        (np.float32(np.nan), UNDONE, 1),
        (np.full((1, 4, 1, 1), 2.0, np.float32), UNDONE, 1),
        (np.float32(2.0), UNDONE, 2),
    ],
)
def test_other_arithmetic_is_listed(
    per_step: Array, ends: tuple[float, float, float, float], takers: int, tmp_path: Path
) -> None:
    listing = find_format("openvino").listing(foreign(tmp_path, per_step, ends, takers))
    assert [each.kind for each in listing.operations][:3] == ["conv", "mul", "round"]


def test_a_profile_calls_layers_by_their_names() -> None:
    folder = HERE / "models/cifar10-mobile"
    found = find_runtime("openvino").profile(
        folder / "openvino-int8/model.xml", 1, [np.zeros((1, 32, 32, 3), np.uint8)], 2
    )
    names = {operator.name.split("/WithoutBiases")[0] for operator in found.ops}
    program = read_program(from_onnx(onnx.load(folder / "int8.onnx")))
    assert {op.name for op in program.ops if op.type == "Conv"} <= names
