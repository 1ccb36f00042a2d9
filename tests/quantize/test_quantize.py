"""Where int8 is decided: ranges over all pictures, grids with zero on them, weights a scale each, sums inside int32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.errors import UsageError
from edgecnn.graph.edit import to_onnx
from edgecnn.graph.program import Grid, Op, Program, Tensor, read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import quantize
from edgecnn.quantize.grids import asymmetric, decide_grids
from edgecnn.quantize.ranges import Range, observe
from tests.graph.small_nets import Net, pictures

IMAGES = pictures(np.random.default_rng(1), 24, 6, 6)


def net() -> Net:
    made = Net(np.random.default_rng(2), 6, 6)
    stem = made.relu6(made.conv("x", "stem", 4, (3, 3), gain=6.0), "act")
    total = made.add(made.conv(stem, "inside", 4), stem, "sum")
    made.dense(made.flatten(made.max_pool(total, "pool", (2, 2), (2, 2)), "flat"), "classifier", 5)
    return made


# --- ranges -----------------------------------------------------------------------------------------------------------


def test_ranges_are_the_true_minima_and_maxima() -> None:
    graph = net().canonical()
    seen = observe(graph, IMAGES)
    names = [op.output.value for op in read_program(graph).ops]
    assert set(seen) == set(names)
    values = Reference(graph, names).values(IMAGES)
    for name in names:
        expected = [values[name].min(), values[name].max()]
        np.testing.assert_allclose([seen[name].low, seen[name].high], expected, atol=1e-5)
    assert seen[names[0]] == Range(0.0, 6.0), "a relu6 belongs to what is before it"


def test_one_picture_widens_a_range_however_many_there_are() -> None:
    """The fault looked for: a moving average, which one picture among many hardly moves."""
    graph = net().canonical()
    grey = np.full((64, 6, 6, 3), 128, np.uint8)
    narrow, wide = observe(graph, grey), observe(graph, np.concatenate([grey, IMAGES[:1]]))
    alone = observe(graph, IMAGES[:1])
    for name, seen in wide.items():
        assert seen == Range(min(narrow[name].low, alone[name].low), max(narrow[name].high, alone[name].high))


def test_values_that_are_not_finite_name_the_layer() -> None:
    made = net()
    made.constants["inside.0"][0, 0, 0, 0] = np.nan
    with pytest.raises(UsageError, match="layer 'inside' gives values that are not finite"):
        observe(made.canonical(), IMAGES)


# --- grids ------------------------------------------------------------------------------------------------------------


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_a_grid_covers_its_range_and_zero_is_on_it(a: float, b: float) -> None:
    grid = asymmetric(Range(min(a, b), max(a, b)))
    low, high = (grid.scale * (q - grid.zero_point) for q in (0, 255))
    assert 0 <= grid.zero_point <= 255
    assert low - grid.scale / 2 <= min(a, b, 0.0)
    assert high + grid.scale / 2 >= max(a, b, 0.0) * (1 - 1e-6)
    assert np.float32(grid.scale) == grid.scale, "as it will stand in the files"


def test_grids_worked_by_hand() -> None:
    assert asymmetric(Range(0.0, 6.0)) == Grid(float(np.float32(6 / 255)), 0)
    assert asymmetric(Range(2.0, 5.1)) == Grid(float(np.float32(5.1 / 255)), 0), "zero is always covered"
    assert asymmetric(Range(-1.28, 1.27)) == Grid(float(np.float32(0.01)), 128)
    assert asymmetric(Range(-2.55, 0.0)).zero_point == 255
    assert asymmetric(Range(0.0, 0.0)).scale > 0


def test_special_grids() -> None:
    graph = net().canonical()
    program, seen = read_program(graph), observe(graph, IMAGES)
    grids = decide_grids(program, seen)
    stem, _, total, pool, flat, dense = program.ops
    assert grids["image"] == Grid(1 / 128, 128)
    assert grids[pool.output.value] == grids[flat.output.value] == grids[total.output.value]
    reach = seen[dense.output.value].high - seen[dense.output.value].low
    assert grids[dense.output.value].scale == pytest.approx(1.1 * reach / 255, rel=1e-6), "widened by a tenth"
    assert grids[stem.output.value].scale == pytest.approx(6 / 255, rel=1e-6)


def test_a_sum_much_smaller_than_its_parts_has_a_floor() -> None:
    """An output scale 200 times below the inputs' wraps in TFLite's ADD."""
    parts = [Tensor(name, (1, 2, 2, 2), name) for name in "ab"]
    total = Tensor("sum", (1, 2, 2, 2), "sum")
    image = Tensor("image", (1, 3, 2, 2), "image", Grid(1 / 128, 128))
    made = tuple(Op("Conv", part.name, (image,), part) for part in parts)
    program = Program(image, (*made, Op("Add", "sum", tuple(parts), total)), Tensor("y", (1, 2), "y"))
    grids = decide_grids(program, {"a": Range(-100, 100), "b": Range(-100, 100), "sum": Range(-0.1, 0.1)})
    assert grids["sum"].scale == pytest.approx(grids["a"].scale / 128)


# --- weights ----------------------------------------------------------------------------------------------------------


def test_a_convolution_has_a_scale_for_each_filter_and_a_dense_layer_one() -> None:
    graph = quantize(net().canonical(), IMAGES)
    made = net()
    weights, scales = graph.constants["stem.weight.q"], graph.constants["stem.weight.scale"]
    assert scales.shape == (4,)
    np.testing.assert_allclose(scales, np.abs(made.constants["stem.0"]).max(axis=(1, 2, 3)) / 127, rtol=1e-6)
    assert np.abs(weights.reshape(4, -1)).max(axis=1).tolist() == [127] * 4
    assert graph.constants["classifier.weight.scale"].shape == ()
    assert np.abs(graph.constants["classifier.weight.q"]).max() == 127


def test_weights_of_7_bits_have_half_the_steps() -> None:
    graph, made = quantize(net().canonical(), IMAGES, weights_bits=7), net()
    weights, scales = graph.constants["stem.weight.q"], graph.constants["stem.weight.scale"]
    assert weights.dtype == np.int8
    assert np.abs(weights.reshape(4, -1)).max(axis=1).tolist() == [63] * 4
    assert np.abs(graph.constants["classifier.weight.q"]).max() == 63
    apart = np.abs(weights * scales[:, None, None, None] - made.constants["stem.0"])
    assert (apart <= 0.501 * scales[:, None, None, None]).all(), "each weight is rounded to the nearest step"
    np.testing.assert_allclose(scales, np.abs(made.constants["stem.0"]).max(axis=(1, 2, 3)) / 63, rtol=1e-6)


@pytest.mark.parametrize("bits", [6, 9, 0])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(UsageError, match=f"weights have 7 or 8 bits, not {bits}"):
        quantize(net().canonical(), IMAGES, weights_bits=bits)


def test_a_bias_is_int32_on_the_product_of_the_scales() -> None:
    graph = quantize(net().canonical(), IMAGES)
    bias, steps = graph.constants["stem.bias.q"], graph.constants["stem.bias.scale"]
    assert bias.dtype == np.int32
    np.testing.assert_array_equal(steps, np.float32(1 / 128) * graph.constants["stem.weight.scale"])
    np.testing.assert_allclose(bias * steps, net().constants["stem.1"], atol=steps.max())


def test_sums_that_pass_int32_are_refused() -> None:
    """65,536 full weights and a bias at its limit fit; the fault planted: a bias limit of all of int32."""
    made = Net(np.random.default_rng(0), 6, 6)
    made.flatten(made.conv("x", "stem", 2, (3, 3)))
    made.constants["stem.1"][0] = 1e7
    graph = quantize(made.canonical(), IMAGES)
    reach = 255 * np.abs(graph.constants["stem.weight.q"].astype(np.int64)).reshape(2, -1).sum(axis=1)
    assert (reach + np.abs(graph.constants["stem.bias.q"].astype(np.int64))).max() < 2**31
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgecnn.quantize.grids.BIAS_LIMIT", 2**32)
        with pytest.raises(UsageError, match="layer 'stem': sums of products can pass int32"):
            quantize(made.canonical(), IMAGES)


# --- the graph --------------------------------------------------------------------------------------------------------


def test_quantizing_leaves_the_fp32_graph_alone_and_repeats_itself() -> None:
    graph = net().canonical()
    before = to_onnx(graph).SerializeToString()
    first, second = (to_onnx(quantize(graph, IMAGES)).SerializeToString() for _ in range(2))
    assert to_onnx(graph).SerializeToString() == before
    assert first == second


def test_the_integers_say_what_the_floats_do() -> None:
    """Logits within a few steps of fp32 on the pictures that were calibrated on; a doubled scale is not."""
    graph = net().canonical()
    quantized = quantize(graph, IMAGES)
    grid = read_program(quantized).output.grid
    assert grid is not None
    expected = Reference(graph).output(IMAGES)

    def worst() -> float:
        found = (Reference(quantized).output(IMAGES).astype(float) - grid.zero_point) * grid.scale
        return float(np.abs(found - expected).max() / np.abs(expected).max())

    assert worst() < 0.05
    quantized.constants["inside.weight.scale"] = quantized.constants["inside.weight.scale"] * 2
    assert worst() > 0.05
