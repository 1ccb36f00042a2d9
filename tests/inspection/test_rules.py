"""Each rule sees the fault that is planted for it, in the layer where it is, and nothing in a good network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgecnn.graph.listing import Listing, Operation, Quantization, Value
from edgecnn.inspection.kernels import Kernel
from edgecnn.inspection.rules import RULES, findings
from edgecnn.inspection.view import Finding, View

CHANNELS = 16


def grid(scale: float = 0.05, zero: int = 0, dtype: str = "uint8") -> Quantization:
    return Quantization(dtype, np.array([scale]), np.array([zero]))


def value(name: str, shape: tuple[int, ...] = (1, CHANNELS, 8, 8), on: Quantization | None = None) -> Value:
    return Value(name, shape, on.dtype if on else "float32", on)


def conv(name: str, given: Value, made: Value, **changed: Any) -> Operation:
    """int8 weights a scale a channel, a bias on the scale of the products."""
    random = np.random.default_rng(5)
    weights = random.integers(-126, 127, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
    weights[:, 0, 0, 0] = 127
    scales = random.uniform(0.001, 0.002, CHANNELS)
    zeros = np.zeros(CHANNELS, np.int64)
    bias = random.integers(-900, 900, CHANNELS).astype(np.int32)
    by = 0.05 if given.quantization is None else given.quantization.scales[0]
    made_of = {
        "weights": Value("w", weights.shape, "int8", Quantization("int8", scales, zeros, 0), weights),
        "bias": Value("b", bias.shape, "int32", Quantization("int32", by * scales, zeros, 0), bias),
    }
    return Operation(name, "Conv", "conv", (given,), (made,), (name,), **{**made_of, **changed})


def simple(name: str, kind: str, given: Value, made: Value) -> Operation:
    return Operation(name, kind.title(), kind, (given,), (made,), (name,))


PIXELS = value("image", (1, 3, 16, 16), grid(1 / 128, 128))
A, B, C, D = (value(name, on=grid()) for name in "abcd")
GOOD = (conv("one", PIXELS, A), simple("pool", "max_pool", A, B), conv("two", B, C))


def view(*operations: Operation, kernels: dict[str, Kernel] | None = None, form: str = "onnx") -> View:
    return View(form, "an engine 1.0", Listing((PIXELS,), (operations[-1].outputs[0],), operations), kernels)


def found(*operations: Operation, **given: Any) -> dict[str, Finding]:
    return {finding.rule: finding for finding in findings(view(*operations, **given))}


def test_nothing_is_found_in_a_good_network() -> None:
    assert found(*GOOD) == {}


def weights_of(name: str, change: Callable[[Any], Any], scales: Any = None) -> tuple[Operation, ...]:
    """The good network with other weights in one layer."""
    made = []
    for operation in GOOD:
        if operation.name == name:
            weights = operation.weights
            assert weights is not None
            assert weights.constant is not None
            assert weights.quantization is not None
            on = weights.quantization if scales is None else replace(weights.quantization, **scales)
            changed = replace(weights, constant=change(weights.constant.copy()), quantization=on)
            operation = replace(operation, weights=changed)
        made.append(operation)
    return tuple(made)


def huge_bias() -> tuple[Operation, ...]:
    """Just beyond: 2^31 - 1 - 255 * sum|w| + 1 in one channel."""
    reach = 255 * int(np.abs(GOOD[2].rows()[3]).sum())
    bias = np.zeros(CHANNELS, np.int32)
    bias[3] = 2**31 - 1 - reach + 1
    assert GOOD[2].bias is not None
    return (*GOOD[:2], replace(GOOD[2], bias=replace(GOOD[2].bias, constant=bias)))


def emptied(weights: Any) -> Any:
    weights[[2, 5]] = 0
    return weights


def clipped(weights: Any) -> Any:
    return np.clip(weights.astype(int) * 3, -127, 127).astype(np.int8)


def uneven(weights: Any) -> Any:
    return np.concatenate([weights[:1], weights[1:] // 16])


ONE_SCALE = {"scales": np.array([0.001]), "zero_points": np.array([0]), "axis": None}


def biased(change: Callable[[Value], Value]) -> tuple[Operation, ...]:
    assert GOOD[2].bias is not None
    return (*GOOD[:2], replace(GOOD[2], bias=change(GOOD[2].bias)))


def other_bias_scale(bias: Value) -> Value:
    assert bias.quantization is not None
    return replace(bias, quantization=replace(bias.quantization, scales=2 * bias.quantization.scales))


def beyond(bias: Value) -> Value:
    """The output's grid ends at 12.75; a bias of 10^6 steps of a 20,000th is 50."""
    return replace(bias, constant=np.full(CHANNELS, 10**6, np.int32))


FLOAT = value("f")
PLANTED: dict[str, tuple[tuple[Operation, ...], str]] = {
    "accumulator_overflows": (huge_bias(), "two (1 of 16 channels)"),
    "dead_channels": (weights_of("two", emptied), "two (2 of 16 channels)"),
    "saturated_weights": (weights_of("two", clipped), "two"),
    "one_scale_for_all": (weights_of("two", uneven, ONE_SCALE), "two"),
    "bias_out_of_range": (biased(beyond), "two (16 of 16 channels)"),
    "wrong_bias_scale": (biased(other_bias_scale), "two"),
    "fixed_grids": ((*GOOD, simple("gate", "sigmoid", C, value("d", on=grid(1 / 255)))), "gate"),
    "unequal_grids": (
        (GOOD[0], simple("pool", "max_pool", A, value("b", on=grid(0.06))), conv("two", value("b", on=grid(0.06)), C)),
        "pool",
    ),
    "float_islands": ((*GOOD, simple("act", "hard_swish", C, FLOAT), conv("three", FLOAT, D)), "act"),
    "stray_transposes": ((*GOOD, simple("turn", "transpose", C, value("d", on=grid()))), "turn"),
    "stray_pads": ((GOOD[0], simple("pad", "pad", A, B), conv("two", B, C)), "pad"),
    "stray_pairs": (
        (
            GOOD[0],
            simple("again", "quantize", A, value("b", on=grid(0.07))),
            conv("two", value("b", on=grid(0.07)), C),
        ),
        "again",
    ),
    "open_sizes": ((conv("one", replace(PIXELS, shape=(0, 3, 16, 16)), A),), "image"),
    "transpose_before_dequantize": (
        (
            simple("planes", "transpose", replace(PIXELS, quantization=None), value("p")),
            conv("one", value("p", on=grid(1 / 128, 128)), A),
        ),
        "planes",
    ),
}


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_fault_is_found(rule: str) -> None:
    operations, where = PLANTED[rule]
    listing = Listing((operations[0].inputs[0],), (operations[-1].outputs[0],), operations)
    seen = findings(View("onnx", "an engine 1.0", listing, None))
    layers = [layer for finding in seen if finding.rule == rule for layer in finding.layers]
    assert any(layer.startswith(where) for layer in layers), [finding.rule for finding in seen]


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule.__name__ for rule in RULES} == {*PLANTED, "off_the_fast_path"}


def test_the_largest_sum_that_fits_is_no_finding() -> None:
    operations = huge_bias()
    bias = operations[2].bias
    assert bias is not None
    assert bias.constant is not None
    fits = replace(bias, constant=bias.constant - (np.arange(CHANNELS) == 3))
    assert "accumulator_overflows" not in found(*operations[:2], replace(operations[2], bias=fits))


def kernels(**other: Kernel) -> dict[str, Kernel]:
    return {name: Kernel("fast", True) for name in ("one", "pool", "two")} | other


def test_what_the_engine_says_comes_before_what_the_file_says() -> None:
    assert found(*GOOD, kernels=kernels()) == {}
    island = found(*GOOD, kernels=kernels(pool=Kernel("MaxPool", False)))["float_islands"]
    assert island.layers == ("pool",)
    assert "no integer kernel" in island.why


def test_what_the_delegate_leaves() -> None:
    seen = found(*GOOD, kernels=kernels(pool=Kernel("built-in", True, False)), form="tflite")
    assert seen["off_the_fast_path"].layers == ("pool",)
    assert set(seen) == {"off_the_fast_path"}


CAUSES: dict[str, tuple[Operation, str]] = {
    "weights": (conv("two", B, C, weights=Value("w", (4, 4, 3, 3), "float32", None, np.ones((4, 4, 3, 3)))), "weights"),
    "input": (conv("two", value("b"), C), "not all that goes in"),
    "output": (conv("two", B, value("c")), "what comes out"),
    "bias": (conv("two", B, C, bias=Value("b", (16,), "float32", None, np.ones(16, np.float32))), "bias is a float"),
    "signed": (conv("two", B, value("c", on=grid(dtype="int8"))), "activations are int8"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_of_an_island(cause: str) -> None:
    operation, words = CAUSES[cause]
    seen = found(*GOOD[:2], operation, kernels=kernels(two=Kernel("Conv", False)))
    assert words in seen["float_islands"].why
    assert seen["float_islands"].layers == ("two",)
