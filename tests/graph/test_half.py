"""The float16 graph against arithmetic that knows nothing of it: torch's own halves, numpy, ONNX's evaluator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from edgecnn.errors import UnusableFile
from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import Graph, Node, Value, from_onnx, to_onnx
from edgecnn.graph.half import check_fits, halved, is_half, widened
from edgecnn.graph.program import read_program
from edgecnn.graph.reference import Reference
from edgecnn.graph.trace import trace
from edgecnn.packaged import find_model
from edgecnn.proof.parity import HALF_LAYER
from edgecnn.verbs.network import HALF_TOLERANCE
from tests.graph.small_nets import Net, evaluate, pictures, planes

ROUNDING = 2.0**-11
IMAGES = pictures(np.random.default_rng(1), 16, 8, 8)


def chain(seed: int = 0) -> Net:
    net = Net(np.random.default_rng(seed), 8, 8)
    stem = net.relu6(net.conv("x", "stem", 8, (3, 3), (1, 1), (1, 1, 1, 1)), "act")
    deep = net.conv(stem, "deep", 8, (3, 3), (1, 1), (1, 1, 1, 1), groups=8)
    larger = net.resize(net.add(stem, deep, "sum"), "larger", (2, 2), "linear")
    net.dense(net.flatten(net.global_average_pool(larger, "mean")), "classifier", 5)
    return net


def test_it_is_valid_onnx_with_the_same_ends_and_the_same_program() -> None:
    exact = chain().canonical()
    half = halved(exact)
    onnx.checker.check_model(to_onnx(half), full_check=True)
    assert (half.inputs, half.outputs) == (exact.inputs, exact.outputs)
    assert is_half(half)
    assert not is_half(exact)
    ops = [[(op.type, op.name, op.output.shape) for op in read_program(graph).ops] for graph in (exact, half)]
    assert ops[0] == ops[1]


def test_every_value_between_the_pixels_and_the_logits_is_float16() -> None:
    half = halved(chain().canonical())
    floats = {name for name, dtype in half.dtypes.items() if dtype == TensorProto.FLOAT}
    pixels = next(half.each("DequantizeLinear")).output
    assert floats == {pixels, next(half.each("Transpose")).output, half.outputs[0].name}


def test_every_pixel_is_held_exactly() -> None:
    values = (np.arange(256, dtype=np.float32) - 128) / 128
    assert np.array_equal(values.astype(np.float16).astype(np.float32), values)


def test_weights_are_numpys_nearest_float16() -> None:
    exact = chain().canonical()
    half = halved(exact)
    for name, values in half.constants.items():
        if values.dtype == np.float16:
            assert np.array_equal(values, np.float16(exact.constants[name]))


def test_the_original_is_left_as_it_was() -> None:
    exact = chain().canonical()
    before = to_onnx(exact).SerializeToString(deterministic=True)
    halved(exact)
    assert to_onnx(exact).SerializeToString(deterministic=True) == before


def test_onnxs_own_evaluator_agrees() -> None:
    half = halved(chain().canonical())
    expected = evaluate(half, IMAGES)
    found = Reference(half).output(IMAGES)
    assert np.abs(found - expected).max() <= 4 * ROUNDING * np.abs(expected).max()


def test_each_value_is_rounded_as_torch_rounds_it() -> None:
    """By hand: conv in float32 of float16 numbers, rounded; relu6; conv, rounded."""
    net = Net(np.random.default_rng(2), 8, 8)
    net.conv(net.relu6(net.conv("x", "a", 4, (3, 3)), "act"), "b", 3, (1, 1))
    net.flatten("b")
    half = halved(net.canonical())
    value = torch.from_numpy(planes(IMAGES)).half().float()
    names = {op.name: op for op in read_program(half).ops}
    for name in ("a", "b"):
        weights, bias = (torch.from_numpy(c.values.astype(np.float32)) for c in names[name].constants)
        value = torch.nn.functional.conv2d(value, weights, bias).half().float()
        value = value.clamp(0, 6) if name == "a" else value
    expected = value.flatten(1).numpy()
    found = Reference(half).output(IMAGES)
    same = (found == expected).mean()
    assert same >= 0.99, f"{same:.2%} of the values are the same: sums in another order may round otherwise"
    assert np.abs(found - expected).max() <= 2 * ROUNDING * np.abs(expected).max()
    unrounded = Reference(widened(half)).output(IMAGES)
    assert (unrounded == expected).mean() < 0.5, "a reference that doesn't round would not be seen"


def test_torchs_half_module_agrees() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, 2, 1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3),
        torch.nn.ReLU6(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 7),
    ).eval()
    half = halved(canonical(trace(module, 3, 8, 8)))
    with torch.no_grad():
        expected = module.half()(torch.from_numpy(planes(IMAGES)).half()).float().numpy()
    assert np.abs(Reference(half).output(IMAGES) - expected).max() <= HALF_TOLERANCE * np.abs(expected).max()


def test_widened_has_the_same_numbers_in_float32() -> None:
    half = halved(chain().canonical())
    wide = widened(half)
    assert not is_half(wide)
    assert not list(wide.each("Cast"))
    found = {name: values for name, values in wide.constants.items() if values.dtype == np.float32}
    assert all(np.array_equal(found[n], v.astype(np.float32)) for n, v in half.constants.items() if n in found)


@pytest.mark.parametrize("worst", [65505.0 + 15.0, -7e4, np.inf, np.nan])
def test_a_weight_that_float16_can_not_hold_is_named(worst: float) -> None:
    graph = chain().canonical()
    name = next(op.name for op in read_program(graph).ops if op.name == "deep")
    values = graph.constants[f"{name}.weight"].copy()
    values.flat[3] = worst
    graph.constants[f"{name}.weight"] = values
    with pytest.raises(UnusableFile, match=r"^layer 'deep': its weight has the value .*, and fp16 ends at 65504"):
        check_fits(graph)
    values.flat[3] = 65504.0
    check_fits(graph)


def test_a_cast_between_other_types_is_not_passed_over() -> None:
    """A Cast to int32 changes values; only those into float16 and out of it are the same value."""
    exact = chain().canonical()
    last = exact.nodes[-1]
    last.outputs = ["inner"]
    casts = [Node("Cast", "whole", ["inner"], ["whole"], {"to": TensorProto.INT32})]
    casts.append(Node("Cast", "back", ["whole"], [exact.outputs[0].name], {"to": TensorProto.FLOAT}))
    exact.nodes += casts
    exact.infer_shapes()
    assert {"whole", "back"} <= {op.name for op in read_program(exact).ops}


# --- how much is rounded: float16 sums -------------------------------------------------------------------------------


def packaged(name: str) -> Graph:
    folder = find_model(name)
    assert folder is not None
    return from_onnx(onnx.load(folder / "fp32.onnx"))


@pytest.mark.parametrize("name", ["cifar10-ds", "cifar10-mobile", "random 0", "random 1"])
def test_the_bound_for_a_network_holds(name: str) -> None:
    """Half of it, where sums are float32."""
    graph = chain(int(name[-1])).canonical() if name.startswith("random") else packaged(name)
    _, height, width, _ = graph.inputs[0].shape
    images = pictures(np.random.default_rng(4), 32, height, width)
    exact = Reference(graph).output(images)
    assert np.abs(Reference(halved(graph)).output(images) - exact).max() <= HALF_TOLERANCE / 2 * np.abs(exact).max()


@pytest.mark.parametrize("products", [9, 48, 176])
def test_the_bound_for_a_layer_holds_where_sums_are_float16(products: int) -> None:
    """A CPU with float16 arithmetic may round after every product, one after another; more of them may need more."""
    rng = np.random.default_rng(products)
    given = np.minimum(np.abs(rng.normal(0, 1, (256, products))), 6).astype(np.float16)
    weights = rng.normal(0, products**-0.5, (64, products)).astype(np.float16)
    exact = (given.astype(np.float32) @ weights.astype(np.float32).T).astype(np.float16)
    sums = np.zeros(exact.shape, np.float16)
    for i in range(products):
        sums = (sums + given[:, i, None].astype(np.float32) * weights[None, :, i].astype(np.float32)).astype(np.float16)
    apart = np.abs(sums.astype(np.float32) - exact.astype(np.float32)).max() / np.abs(exact).astype(np.float32).max()
    assert 0 < apart <= HALF_LAYER


def test_float16_in_onnxs_sense() -> None:
    """A Cast rounds to nearest, ties to even, as numpy does."""
    values = np.array([1 + 2.0**-11, 1 + 3 * 2.0**-11, 65519.0, 1e-8], np.float32)
    nodes = [Node("Cast", "cast", ["x"], ["y"], {"to": TensorProto.FLOAT16})]
    graph = Graph(nodes, {}, [Value("x", TensorProto.FLOAT, (4,))], [Value("y", TensorProto.FLOAT16, (4,))])
    (given,) = ReferenceEvaluator(to_onnx(graph)).run(None, {"x": values})
    assert np.array_equal(given, values.astype(np.float16))
