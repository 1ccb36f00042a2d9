"""The peak of activations against sums by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgecnn import packaged
from edgecnn.edge.runtimes.litert import LiteRTSession
from edgecnn.nn.memory import Use, peak_values
from edgecnn.nn.network import plan_network
from edgecnn.nn.table import peak
from edgecnn.recipe.layers import Conv, Dense, Flatten, GlobalAveragePool, Layer, MaxPool, Relu, Residual
from edgecnn.recipe.schema import Model
from edgecnn.verbs.inspect import inspect

PICTURE = (3, 32, 32)
MODELS = Path(packaged.__file__).parent / "models"


def peak_of(*layers: Layer) -> tuple[int, int]:
    found = peak(PICTURE, plan_network(Model(layers=layers), PICTURE, 10).steps())
    return found.int8, found.fp32


def test_a_chain_by_hand() -> None:
    """picture 3,072, conv 16,384, pool 4,096: at the pool 20,480 are there, more than the 19,456 at the conv."""
    assert peak_of(Conv(filters=16), MaxPool(), Flatten(), Dense(units=10)) == (20_480, 81_920)


def test_a_residual_holds_its_input() -> None:
    """Maps of 4 x 32 x 32 = 4,096: while b runs, a's output, b's own and the block's input are there."""
    body = (Conv(filters=4, name="a"), Conv(filters=4, name="b"))
    straight = peak_of(Conv(filters=4), *body, GlobalAveragePool(), Dense(units=10))
    held = peak_of(Conv(filters=4), Residual(layers=body), GlobalAveragePool(), Dense(units=10))
    assert (straight[0], held[0]) == (8_192, 12_288)


def test_an_activation_and_a_flatten_write_over_their_input() -> None:
    assert peak_of(Conv(filters=16), Relu(), Flatten(), Dense(units=10))[0] == 3_072 + 16_384


@pytest.mark.parametrize(("in_place", "most"), [(True, 10), (False, 20)])
def test_what_may_write_over_its_input(in_place: bool, most: int) -> None:
    assert peak_values([("x", 10)], [Use(("x",), "y", 10, in_place)]) == most


def test_what_is_read_later_is_not_written_over() -> None:
    uses = [Use(("x",), "y", 10, in_place=True), Use(("x", "y"), "z", 1)]
    assert peak_values([("x", 10)], uses) == 21


def test_branches_of_a_concatenation_are_held() -> None:
    """x 8; a 5, b 7, joined 12: while they are joined 24 are there, and 8 + 5 + 7 = 20 before."""
    uses = [Use(("x",), "a", 5), Use(("x",), "b", 7), Use(("a", "b"), "c", 12)]
    assert peak_values([("x", 8)], uses) == 24


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(("model", "recipe"), [("cifar10-ds", "ds_cifar"), ("cifar10-mobile", "mobile_cifar")])
def test_tflites_arena_is_the_peak_and_the_picture_twice(model: str, recipe: str, precision: str) -> None:
    """What LiteRT's built-in kernels lay out: the picture as pixels and as the net's type lies beside what is alive."""
    peak = getattr(inspect(f"recipes/{recipe}.yaml").peak_activation_bytes, precision)
    file = MODELS / model / f"tflite-{precision}" / "model.tflite"
    assert getattr(inspect(file).peak_activation_bytes, precision) == peak, "the file's own operations say the same"
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(file), experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    arena = LiteRTSession(interpreter).arena().value
    picture = 3 * 32 * 32
    assert arena is not None
    assert peak <= arena <= peak + picture + picture * {"int8": 1, "fp32": 4}[precision]
