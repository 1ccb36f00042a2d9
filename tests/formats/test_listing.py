"""Listings of files: the same network in every format has the same layers, sizes and grids; foreign files too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgecnn.formats import all_formats, find_format
from edgecnn.graph.edit import Array, Graph, to_onnx
from edgecnn.graph.listing import Listing, Operation, snake
from edgecnn.graph.program import read_program
from edgecnn.quantize import quantize
from tests.graph.small_nets import Net, pictures

FORMATS = all_formats()
each_format = pytest.mark.parametrize("form", FORMATS)
SIDE = 12


def net() -> Net:
    made = Net(np.random.default_rng(3), SIDE, SIDE)
    stem = made.relu6(made.conv("x", "stem", 8, (3, 3), (2, 2), (0, 0, 1, 1)), "act")
    wide = made.relu(made.conv(stem, "depthwise", 8, (3, 3), (1, 1), (1, 1, 1, 1), groups=8), "act2")
    total = made.add(made.conv(wide, "point", 8, (1, 1)), stem, "sum")
    made.dense(made.flatten(made.global_average_pool(total, "mean")), "classifier", 5)
    return made


# kernel height x width x channels in x filters (+ filters), times the places of the output; counted by hand
PARAMS = {"stem": 3 * 3 * 3 * 8 + 8, "depthwise": 3 * 3 * 8 + 8, "point": 8 * 8 + 8, "classifier": 8 * 5 + 5}
MACS = {"stem": 36 * 216, "depthwise": 36 * 72, "point": 36 * 64, "classifier": 40}
KINDS = {"stem": "conv", "depthwise": "depthwise_conv", "point": "conv", "classifier": "dense"}


def graphs() -> dict[str, Graph]:
    fp32 = net().canonical()
    return {"fp32": fp32, "int8": quantize(fp32, pictures(np.random.default_rng(1), 32, SIDE, SIDE))}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("written")
    for precision, graph in graphs().items():
        for name, form in FORMATS.items():
            (root / f"{name}-{precision}").mkdir()
            form.write(graph, root / f"{name}-{precision}", {"labels": '["a", "b", "c", "d", "e"]'})
    return root


def listing(root: Path, form: str, precision: str) -> Listing:
    made = find_format(form)
    return made.listing(root / f"{form}-{precision}" / made.model)


def weighted(found: Listing) -> dict[str, Operation]:
    """The operations with multiply-adds, by the layers' names; the last one may be called as the output is."""
    return {"classifier" if op.kind == "dense" else op.name: op for op in found.operations if op.macs}


@each_format
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_layers_with_weights(written: Path, form: str, precision: str) -> None:
    found = weighted(listing(written, form, precision))
    assert {layer: op.params for layer, op in found.items()} == PARAMS
    assert {layer: op.macs for layer, op in found.items()} == MACS
    assert {layer: op.kind for layer, op in found.items()} == KINDS


@each_format
def test_shapes_and_windows(written: Path, form: str) -> None:
    read = listing(written, form, "fp32")
    stem = weighted(read)["stem"]
    assert read.chw(stem.outputs[0].shape) == (8, 6, 6)
    assert stem.window is not None
    assert (stem.window.kernel, stem.window.stride, stem.window.dilation) == ((3, 3), (2, 2), (1, 1))
    assert not read.quantized
    assert read.inputs[0].shape == (1, SIDE, SIDE, 3)


@each_format
def test_grids_are_those_of_the_graph(written: Path, form: str) -> None:
    """Held against program.py's reading of the one QDQ graph."""
    read = listing(written, form, "int8")
    assert read.quantized
    program = {op.name: op for op in read_program(graphs()["int8"]).ops}
    found = {value.name: value for operation in read.operations for value in operation.outputs}
    for layer in ("sum/add", "mean"):
        grid, value = program[layer].output.grid, found[layer]
        assert grid is not None
        assert value.quantization is not None, layer
        assert value.quantization.scales[0] == pytest.approx(grid.scale, rel=1e-5)
        assert value.quantization.zero_points[0] == grid.zero_point - (128 if value.dtype == "int8" else 0)


@each_format
def test_quantized_weights_and_biases(written: Path, form: str) -> None:
    program = {op.name: op for op in read_program(graphs()["int8"]).ops}
    found = weighted(listing(written, form, "int8"))
    for layer in ("stem", "depthwise", "point"):
        weights, bias = program[layer].constants
        operation = found[layer]
        expected = weights.values.astype(np.int64).reshape(len(weights.values), -1)
        rows = operation.rows()
        if form == "tflite":  # [h, w, in] there, [in, h, w] in the graph
            rows, expected = np.sort(rows, axis=1), np.sort(expected, axis=1)
        np.testing.assert_array_equal(rows, expected)
        assert operation.weights is not None
        assert operation.weights.quantization is not None
        assert weights.scales is not None
        np.testing.assert_allclose(operation.weights.quantization.scales, weights.scales, rtol=1e-5)
        assert operation.bias is not None
        assert operation.bias.constant is not None
        np.testing.assert_array_equal(operation.bias.constant.ravel(), bias.values)


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.left: Iterator[dict[str, Array]] = iter(
            [{"x": np.random.default_rng(i).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)} for i in range(4)]
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self.left, None)


@pytest.mark.parametrize("shape", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("per_channel", [True, False])
def test_files_of_onnx_runtimes_quantizer(shape: QuantFormat, per_channel: bool, tmp_path: Path) -> None:
    onnx.save(to_onnx(net().graph()), tmp_path / "float.onnx")
    quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "int8.onnx",
        Calibration(),
        quant_format=shape,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    before, after = (find_format("onnx").listing(tmp_path / f"{name}.onnx") for name in ("float", "int8"))
    assert sum(op.macs for op in after.operations) == sum(op.macs for op in before.operations) == sum(MACS.values())
    assert sum(op.params for op in after.operations) == sum(op.params for op in before.operations)
    stored = {tensor.name: tensor for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    convs = [op for op in after.operations if "conv" in op.kind]
    assert [op.kind for op in convs] == ["conv", "depthwise_conv", "conv"]
    for op in convs:
        assert all(value.integer for value in op.inputs)
        assert op.weights is not None
        assert op.weights.quantization is not None
        assert op.weights.quantization.per_channel == per_channel
        assert op.bias is not None
        assert op.bias.quantization is not None
        given = op.inputs[0].quantization
        assert given is not None
        scale = onnx.numpy_helper.to_array(stored[f"{op.weights.name.removesuffix('_quantized')}_scale"])
        np.testing.assert_allclose(op.bias.quantization.scales, given.scales[0] * np.ravel(scale), rtol=1e-5)


def test_words() -> None:
    assert snake("GlobalAveragePool") == "global_average_pool"
    assert snake("HARD_SWISH") == "hard_swish"
