"""Every formula, computed as it is written, against the plan's own figures; and a word without a formula is seen."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest

from edgecnn.errors import UsageError
from edgecnn.geometry import Margins
from edgecnn.nn.arithmetic import Convolving, Explanation, Given, explained
from edgecnn.nn.layers import plan_layers
from edgecnn.nn.network import LayeredNetwork, plan_network
from edgecnn.nn.table import explain
from edgecnn.recipe.layers import Conv, Dense, Flatten, Layer, MaxPool
from edgecnn.recipe.schema import Model
from tests.nn.test_layers import CASES

NAMES: dict[str, Any] = {"floor": math.floor, "ceil": math.ceil, "max": max, "__builtins__": {}}


def calculated(found: Explanation) -> dict[str, str]:
    """What each formula's numbers come to, which must be what stands behind them."""
    for line in found.formulas:
        if line.numbers:
            value = eval(line.numbers, NAMES)  # noqa: S307  written by us, of digits and signs
            assert math.isclose(value, Fraction(line.result)), line
    return {line.what: line.result for line in found.formulas}


@pytest.mark.parametrize(("word", "shape"), CASES, ids=lambda value: type(value).__name__)
def test_every_word_is_explained(word: Layer, shape: tuple[int, ...]) -> None:
    """The registry's words are all among CASES (test_layers.py), blocks by their inner layers."""
    picture = shape if len(shape) == 3 else (shape[0], 1, 1)
    network = LayeredNetwork((picture[0], picture[1], picture[2]), plan_layers([word], shape))
    for step in network.steps():
        found = calculated(explain(network.steps(), step.name))
        assert int(found["parameters"]) == step.params
        assert int(found["MACs"]) == step.macs
        assert int(found["bytes, int8"]) == math.prod(step.output)
        assert int(found["bytes, fp32"]) == 4 * math.prod(step.output)
        if step.params or step.macs:
            assert step.arithmetic is not None, f"{step.type} has weights and no formula"


def told(name: str, *layers: Layer, picture: tuple[int, int, int] = (3, 32, 32)) -> dict[str, tuple[str, str]]:
    found = explain(plan_network(Model(layers=layers), picture, 10).steps(), name)
    return {line.what: (line.formula, f"{line.numbers} = {line.result}") for line in found.formulas}


def test_the_words_of_a_course() -> None:
    layers = (Conv(filters=16, padding=(1, 1), stride=(2, 2), name="c"), Flatten(), Dense(units=10, name="d"))
    found = told("c", *layers)
    assert found["output rows, columns"] == ("floor((in - K + 2P) / S) + 1", "floor((32 - 3 + 2*1) / 2) + 1 = 16")
    assert found["parameters"] == ("F*(K*K*C) + F", "16*(3*3*3) + 16 = 448")
    assert found["MACs"] == ("H*W*K*K*C*F", "16*16*3*3*3*16 = 110592")
    assert found["receptive field"] == ("r + (K - 1)*j", "1 + (3 - 1)*1 = 3")
    assert found["stride"] == ("j*S", "1*2 = 2")
    assert told("d", *layers)["parameters"] == ("U*C + U", "10*4096 + 10 = 40970")


def test_same_padding_has_its_own_formula() -> None:
    found = told("p", MaxPool(size=(3, 3), stride=(2, 2), padding="same", name="p"), Flatten(), Dense(units=10))
    assert found["output rows, columns"] == ("ceil(in / S)", "ceil(32 / 2) = 16")
    assert found["padding rows, columns"] == ("max((out - 1)*S + K - in, 0)", "max((16 - 1)*2 + 3 - 32, 0) = 1")
    assert found["so again rows, columns"][1] == "floor((32 - 3 + 1) / 2) + 1 = 16"


def test_rows_and_columns_that_differ_have_a_line_each() -> None:
    found = told("c", Conv(filters=2, kernel=(1, 5), padding="valid", name="c"), Flatten(), Dense(units=10))
    assert found["output rows"][1] == "floor((32 - 1 + 2*0) / 1) + 1 = 32"
    assert found["output columns"][1] == "floor((32 - 5 + 2*0) / 1) + 1 = 28"
    assert found["receptive field, columns"][1] == "1 + (5 - 1)*1 = 5"
    assert found["parameters"] == ("F*(Kh*Kw*C) + F", "2*(1*5*3) + 2 = 32")


def test_dilation_and_groups() -> None:
    """5 taps' reach of a 3x3 kernel two apart; four groups: each filter sees a fourth of the channels."""
    arithmetic = Convolving((3, 3), (1, 1), "explicit", Margins(2, 2, 2, 2), (2, 2), groups=4, bias=False)
    given = Given((8, 9, 9), (12, 9, 9), 216, 216 * 81, (5, 5), (1, 1), (1, 1), (1, 1), (5, 5), (1, 1))
    found = {line.what: (line.formula, line.numbers) for line in explained("c", "conv", arithmetic, given).formulas}
    calculated(explained("c", "conv", arithmetic, given))
    assert found["output rows, columns"][0] == "floor((in - (D*(K - 1) + 1) + 2P) / S) + 1"
    assert found["parameters"] == ("F*(K*K*C/G)", "12*(3*3*8/4)")


def test_a_wrong_figure_is_seen() -> None:
    """The fault planted: a plan that counts one parameter too many."""
    arithmetic = Convolving((3, 3), (1, 1), "same", Margins(1, 1, 1, 1))
    given = Given((3, 8, 8), (4, 8, 8), 113, 108 * 64, (3, 3), (1, 1), (1, 1), (1, 1), (3, 3), (1, 1))
    with pytest.raises(AssertionError, match="parameters"):
        calculated(explained("c", "conv", arithmetic, given))


def test_an_unknown_layer_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="there is no layer 'conv1'; did you mean 'conv_1'"):
        told("conv1", Conv(filters=2), Flatten(), Dense(units=10))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_torchvisions_layers_are_explained(name: str) -> None:
    steps = plan_network(Model(torchvision=name), (3, 64, 64), 10).steps()
    for step in steps:
        found = calculated(explain(steps, step.name))
        assert (int(found["parameters"]), int(found["MACs"])) == (step.params, step.macs)
