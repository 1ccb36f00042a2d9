"""Sums of which none is near a tie: the steps that are chosen for them, and the packaged nets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgecnn.graph.edit import from_onnx
from edgecnn.graph.program import Grid, Op, Program, Tensor, read_program
from edgecnn.packaged import HERE, model_names
from edgecnn.quantize.grids import decide_grids
from edgecnn.quantize.ranges import Range
from edgecnn.quantize.sums import MOST, PARTS, of_one, of_two

XNNPACK = 255 * 2 * 0.5 * 2.0**-20
"""Steps that a sum's ratios are off there, at most, where they are below 2: 21 bits of each, times 255 steps."""
NEAREST = 0.95 * 0.5 / (2 * PARTS)
"""How near a tie may be where there are twice as many parts, and steps are float32."""

steps = st.floats(2.0**-13, 1.0, width=32)


def nearest_tie(first: float, second: float, made: float) -> float:
    """Of all sums of two values on grids with these steps, how near one comes to the middle between two steps."""
    values = np.arange(-255, 256, dtype=np.float64)
    sums = values[:, None] * (first / made) + values * (second / made)
    return float(np.abs(sums - np.floor(sums) - 0.5).min())


def float32(value: float) -> float:
    return float(np.float32(value))


def test_the_distance_is_more_than_engines_are_off() -> None:
    assert NEAREST > 1.9 * XNNPACK


@given(steps, steps, st.floats(0.2, 8.0))
def test_no_sum_of_two_steps_is_near_a_tie(first: float, second: float, reach: float) -> None:
    least = max(first, second) * reach
    found = of_one(first, second, least)
    assume(found is not None)
    assert found is not None
    other, made = found
    assert second <= other * (1 + 1e-6) <= second * (1 + MOST + 1e-5)
    assert least <= made * (1 + 1e-6) <= least * (1 + MOST + 1e-5)
    assert nearest_tie(first, float32(other), float32(made)) > NEAREST


@given(steps, st.integers(1, 60), st.integers(1, 60), st.floats(0.5, 4.0))
def test_steps_in_the_ratio_of_whole_numbers_may_stay(first: float, one: int, two: int, reach: float) -> None:
    second = float32(first * two / one)
    made = of_two(first, second, max(first, second) * reach)
    assume(made is not None)
    assert made is not None
    assert nearest_tie(first, second, float32(made)) > NEAREST


def test_equal_steps_always_may() -> None:
    """Two values that relu6 cut off: their sums would lie halfway between steps of twice the size, every other one."""
    made = of_two(6 / 255, 6 / 255, 12 / 255)
    assert made is not None
    assert nearest_tie(6 / 255, 6 / 255, 12 / 255) < 1e-9
    assert nearest_tie(6 / 255, 6 / 255, float32(made)) > NEAREST


def test_what_would_cost_too_much_is_not_found() -> None:
    assert of_one(0.001, 1.0, 1.0) is None, "half a step of the first in a step of the sum"
    assert of_one(0.0149, 1.0, 1.0) is None, "steps a twelfth larger"
    assert of_two(0.1, 0.1 * 2**0.5, 0.2) is None, "no ratio of whole numbers"


def two_sums(*activations: str | None) -> Program:
    """Three convolutions, a sum of the first two, and one of that and the third."""
    image = Tensor("image", (1, 3, 2, 2), "image", Grid(1 / 128, 128))
    a, b, c, d, e = (Tensor(name, (1, 2, 2, 2), name) for name in "abcde")
    convs = [
        Op("Conv", made.name, (image,), made, activation=after)
        for made, after in zip((a, b, c), activations, strict=True)
    ]
    last = Tensor("y", (1, 2, 2, 2), "y")
    ops = (*convs, Op("Add", "d", (a, b), d), Op("Add", "e", (d, c), e), Op("MaxPool", "y", (e,), last))
    return Program(image, (*ops, Op("Conv", "z", (last,), Tensor("z", (1, 2), "z"))), Tensor("z", (1, 2), "z"))


RANGES = {
    "a": Range(-1.3, 2.1),
    "b": Range(-3.7, 1.9),
    "c": Range(-0.7, 0.9),
    "d": Range(-3.0, 2.5),
    "e": Range(-3.3, 2.2),
    "y": Range(-3.3, 2.2),
    "z": Range(-1, 1),
}


@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
def test_sums_behind_each_other_keep_off_the_ties(scheme: str) -> None:
    program = two_sums(None, None, None)
    grids = decide_grids(program, RANGES, scheme)
    for op in (op for op in program.ops if op.type == "Add"):
        first, second = (grids[tensor.value].scale for tensor in op.inputs)
        assert nearest_tie(first, second, grids[op.output.value].scale) > NEAREST
    assert grids["y"] == grids["e"]
    for name in "abcde":
        low, high = (grids[name].scale * (q - grids[name].zero_point) for q in (0, 255))
        assert low - grids[name].scale / 2 <= RANGES[name].low
        assert RANGES[name].high <= high + grids[name].scale / 2


def test_a_grid_that_ends_with_relu6_ends_there_still() -> None:
    ranges = {**RANGES, "a": Range(0, 6), "b": Range(0, 6), "c": Range(0, 6), "d": Range(0, 12), "e": Range(0, 15)}
    program = two_sums("relu6", "relu6", "relu6")
    grids = decide_grids(program, ranges)
    assert [grids[name].scale for name in "abc"] == [float32(6 / 255)] * 3
    assert nearest_tie(grids["a"].scale, grids["b"].scale, grids["d"].scale) > NEAREST
    assert nearest_tie(grids["d"].scale, grids["c"].scale, grids["e"].scale) > NEAREST


@pytest.mark.parametrize("name", model_names())
def test_no_sum_of_a_packaged_net_is_near_a_tie(name: str) -> None:
    program = read_program(from_onnx(onnx.load(Path(HERE) / "models" / name / "int8.onnx")))
    found = []
    for op in program.ops:
        if op.type == "Add":
            grids = [tensor.grid for tensor in (*op.inputs, op.output)]
            found.append(nearest_tie(*(grid.scale for grid in grids if grid is not None)))
    assert len(found) >= 3
    assert min(found) > NEAREST
