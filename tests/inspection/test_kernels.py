"""What each engine says it runs: integer kernels for a quantized net, and a float island where one was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecnn.edge.runtimes import usual_runtimes
from edgecnn.formats import find_format
from edgecnn.inspection.kernels import find_engine
from edgecnn.inspection.rules import findings
from edgecnn.inspection.view import View
from edgecnn.quantize import quantize
from tests.graph.small_nets import Net, pictures

SIDE = 12
PAIRS = [("litert", "tflite"), ("onnxruntime", "onnx"), ("openvino", "openvino"), ("openvino", "onnx")]
each_pair = pytest.mark.parametrize(("runtime", "form"), PAIRS)


def net(activation: str = "relu") -> Net:
    made = Net(np.random.default_rng(3), SIDE, SIDE)
    stem = made.relu6(made.conv("x", "stem", 8, (3, 3), (2, 2), (0, 0, 1, 1)), "act")
    inside = getattr(made, activation)(made.conv(stem, "point", 8, (1, 1)), "act2")
    made.dense(made.flatten(made.global_average_pool(made.add(inside, stem, "sum"), "mean")), "classifier", 5)
    return made


def view(folder: Path, runtime: str, form: str, made: Net, int8: bool = True) -> View:
    graph = made.canonical()
    if int8:
        graph = quantize(graph, pictures(np.random.default_rng(1), 32, SIDE, SIDE))
    written = find_format(form)
    written.write(graph, folder, {"labels": '["a", "b", "c", "d", "e"]'})
    engine, model = find_engine(runtime), folder / written.model
    assert engine is not None
    return View(form, runtime, written.listing(model), engine.kernels(model))


def test_every_engine_that_is_no_fake_tells() -> None:
    told = {name for name in usual_runtimes() if find_engine(name) is not None}
    assert told == set(usual_runtimes()) - {"null"}


@each_pair
def test_convolutions_of_a_quantized_net_are_integer(runtime: str, form: str, tmp_path: Path) -> None:
    found = view(tmp_path, runtime, form, net())
    weighted = [operation for operation in found.listing.operations if operation.macs]
    assert len(weighted) == 3
    for operation in weighted:
        kernel = found.kernel(operation)
        assert kernel is not None, operation.name
        assert kernel.integer, (operation.name, kernel)
    assert not [finding for finding in findings(found) if finding.rule == "float_islands"]


@each_pair
def test_nothing_of_a_float_net_is_integer(runtime: str, form: str, tmp_path: Path) -> None:
    found = view(tmp_path, runtime, form, net(), int8=False)
    weighted = [operation for operation in found.listing.operations if operation.macs]
    assert [found.integer(operation) for operation in weighted] == [False] * 3


def test_xnnpack_has_all_but_the_ends(tmp_path: Path) -> None:
    found = view(tmp_path, "litert", "tflite", net())
    by = {operation.type: found.kernel(operation) for operation in found.listing.operations}
    assert {kind for kind, kernel in by.items() if kernel is not None and kernel.fast} == set(by) - {"QUANTIZE"}


def test_an_island_is_found_in_onnx_runtime(tmp_path: Path) -> None:
    """Without its quantized output, and without integers for what replaces it."""
    found = view(tmp_path, "onnxruntime", "onnx", net())
    model = onnx.load(tmp_path / "model.onnx")
    pool = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    pool.op_type, pool.name = "GlobalMaxPool", "planted"
    onnx.save(model, tmp_path / "planted.onnx")
    form, engine = find_format("onnx"), find_engine("onnxruntime")
    assert engine is not None
    listing = form.listing(tmp_path / "planted.onnx")
    planted = View("onnx", found.engine, listing, engine.kernels(tmp_path / "planted.onnx"))
    (island,) = (finding for finding in findings(planted) if finding.rule == "float_islands")
    assert island.layers == ("planted",)
    assert "ReduceMax" in island.change


def test_a_softmax_is_left_by_xnnpack(tmp_path: Path) -> None:
    """Not delegated in 8 bits."""
    made = net()
    made.probabilities = True
    found = view(tmp_path, "litert", "tflite", made)
    (left,) = (finding for finding in findings(found) if finding.rule == "off_the_fast_path")
    assert left.layers == tuple(op.name for op in found.listing.operations if op.kind == "softmax")
    assert len(left.layers) == 1
    assert "logits" in left.change
