"""What only the OpenVINO file has: pixels that are shifted once."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import pytest

from edgecnn.edge.runtimes import find_runtime
from edgecnn.edge.runtimes.openvino import library
from edgecnn.formats import find_format, openvino
from edgecnn.graph.edit import from_onnx
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
