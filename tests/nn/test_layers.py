"""Each word's plan against the torch module that it builds: shape, parameters, multiply-adds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from edgecnn.errors import UsageError
from edgecnn.geometry import Margins, same_margins
from edgecnn.nn.blocks import Conv2d, Pool2d
from edgecnn.nn.layers import PLANS, Plan, plan_layers, plans
from edgecnn.recipe.layers import (
    WORDS,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    FractionalMaxPool,
    GlobalAveragePool,
    GlobalMaxPool,
    InvertedResidual,
    L2Pool,
    Layer,
    MaxPool,
    Pointwise,
    PointwiseConv,
    Relu,
    Relu6,
    Residual,
    SeparableConv,
    ShuffleUnit,
    SpatialDropout,
    SqueezeExcite,
    StochasticPool,
    TransposedConv,
    Upsample,
)

Array = NDArray[Any]


def multiply_adds(module: nn.Module, image: torch.Tensor) -> tuple[tuple[int, ...], int]:
    """The output's shape without the batch, and the multiply-adds that convolutions and dense layers really do."""
    counted = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal counted
        per_value = layer.weight[0].numel()  # a filter's weights, or a unit's: used once for each output value
        turned = isinstance(layer, nn.ConvTranspose2d)  # each value of the input goes to a whole kernel of each filter
        counted += (inputs[0] if turned else output).numel() * per_value

    counted_kinds = nn.Conv2d | nn.Linear | nn.ConvTranspose2d
    hooks = [part.register_forward_hook(count) for part in module.modules() if isinstance(part, counted_kinds)]
    with torch.no_grad():
        output = module.eval()(image)
    for hook in hooks:
        hook.remove()
    return tuple(output.shape[1:]), counted


def assert_true(plan: Plan, shape: tuple[int, ...]) -> None:
    module = plan.build()
    found, counted = multiply_adds(module, torch.randn(1, *shape))
    assert found == plan.output
    assert counted == plan.macs
    assert sum(p.numel() for p in module.parameters()) == plan.params


PICTURE = (6, 11, 8)
CASES: list[tuple[Layer, tuple[int, ...]]] = [
    (Conv(filters=4), PICTURE),
    (Conv(filters=4, kernel=(1, 5), stride=(2, 3), padding="valid", bias=False), PICTURE),
    (Conv(filters=4, kernel=(4, 4), stride=(2, 2), batch_norm=True, activation="relu6"), PICTURE),
    (Conv(filters=4, kernel=(3, 3), padding=(2, 0), batch_norm=True, bias=True), PICTURE),
    (DepthwiseConv(kernel=(3, 3), stride=(2, 2)), PICTURE),
    (DepthwiseConv(kernel=(5, 2), padding="valid", batch_norm=True, activation="relu"), PICTURE),
    (SeparableConv(filters=9, kernel=(3, 3), stride=(2, 2), batch_norm=True, activation="relu"), PICTURE),
    (SeparableConv(filters=9), PICTURE),
    (BatchNorm(), PICTURE),
    (BatchNorm(), (10,)),
    (Relu(), PICTURE),
    (Relu6(), (10,)),
    *((WORDS[name](), PICTURE) for name in ("leaky_relu", "sigmoid", "tanh", "silu", "swish", "hard_sigmoid")),
    *((WORDS[name](), (10,)) for name in ("hard_swish", "gelu", "softmax")),
    (SpatialDropout(rate=0.5), PICTURE),
    (PointwiseConv(filters=5, stride=(2, 2), batch_norm=True, activation="silu"), PICTURE),
    (Pointwise(filters=5), PICTURE),
    (Conv(filters=9, groups=3, kernel=(3, 2), dilation=(2, 3)), PICTURE),
    (DepthwiseConv(multiplier=3, dilation=(3, 1), padding="valid"), PICTURE),
    (SeparableConv(filters=9, multiplier=2, dilation=(2, 2)), PICTURE),
    (MaxPool(), PICTURE),
    (MaxPool(size=(3, 2), stride=(2, 2), padding="same"), PICTURE),
    (AveragePool(size=(3, 3), stride=(2, 1), padding="same"), PICTURE),
    (AveragePool(size=(2, 2)), PICTURE),
    (GlobalAveragePool(), PICTURE),
    (GlobalMaxPool(), PICTURE),
    (Dropout(rate=0.5), PICTURE),
    (Flatten(), PICTURE),
    (Dense(units=7), (10,)),
    (Dense(units=7, batch_norm=True, activation="relu6"), (10,)),
    (Dense(units=7, bias=False), (10,)),
    (Residual(layers=(Conv(filters=6, batch_norm=True),), activation="relu"), PICTURE),
    (Residual(layers=(Conv(filters=8, stride=(2, 2)), DepthwiseConv()), shortcut="conv"), PICTURE),
    (Residual(layers=(Conv(filters=8, stride=(2, 3)),), shortcut="average"), PICTURE),
    (Residual(layers=(Conv(filters=8),), shortcut="average"), PICTURE),
    (InvertedResidual(filters=6), PICTURE),
    (InvertedResidual(filters=6, expansion=1, activation="relu"), PICTURE),
    (InvertedResidual(filters=9, expansion=2, stride=(2, 2), kernel=(5, 5)), PICTURE),
    (InvertedResidual(filters=6, expansion=3, stride=(2, 1)), PICTURE),
    (TransposedConv(filters=4, kernel=(3, 4), stride=(2, 3), batch_norm=True, activation="relu"), PICTURE),
    (TransposedConv(filters=4, kernel=(2, 1), stride=(3, 2)), PICTURE),
    (TransposedConv(filters=4, kernel=(3, 2), stride=(2, 1), padding="valid", bias=False), PICTURE),
    (Upsample(size=(2, 3)), PICTURE),
    (Upsample(interpolation="bilinear"), PICTURE),
    (L2Pool(), PICTURE),
    (L2Pool(size=(3, 3), stride=(2, 1), padding="same"), PICTURE),
    (StochasticPool(size=(3, 2), stride=(2, 2)), PICTURE),
    (FractionalMaxPool(ratio=(1.4, 1.6)), PICTURE),
    (FractionalMaxPool(ratio=(2.0, 1.1)), PICTURE),
    (ShuffleUnit(filters=6), PICTURE),
    (ShuffleUnit(filters=10, stride=(2, 1)), PICTURE),
    (SqueezeExcite(), PICTURE),
    (SqueezeExcite(filters=5, gate="sigmoid"), PICTURE),
    (Concat(branches=((Conv(filters=4),), (), (MaxPool(size=(3, 3), stride=(1, 1), padding="same"),))), PICTURE),
    (Concat(branches=((Conv(filters=4, stride=(2, 2)),), (Conv(filters=3), AveragePool(padding="same")))), PICTURE),
    (Residual(layers=(Residual(layers=(DepthwiseConv(),)), Conv(filters=6, kernel=(1, 1)))), PICTURE),
]


@pytest.mark.parametrize(("word", "shape"), CASES, ids=lambda value: type(value).__name__)
def test_a_plan_is_what_torch_makes(word: Layer, shape: tuple[int, ...]) -> None:
    ((_, plan),) = plan_layers([word], shape)
    assert_true(plan, shape)


def test_every_word_is_among_the_cases() -> None:
    assert {type(word) for word, _ in CASES} == set(WORDS.values()) == set(PLANS)


def test_a_wrong_count_is_seen() -> None:
    """The fault planted: one parameter, one multiply-add, one row too many."""
    ((_, plan),) = plan_layers([Conv(filters=4)], PICTURE)
    for wrong in (
        Plan(plan.type, plan.output, plan.build, plan.params + 1, plan.macs),
        Plan(plan.type, plan.output, plan.build, plan.params, plan.macs + 1),
        Plan(plan.type, (4, 12, 8), plan.build, plan.params, plan.macs),
    ):
        with pytest.raises(AssertionError):
            assert_true(wrong, PICTURE)


def test_a_word_is_planned_once() -> None:
    with pytest.raises(ValueError, match="Conv is planned twice"):
        plans(Conv)(lambda word, shape: Plan("conv", shape, nn.Identity))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv | DepthwiseConv, tuple[int, int, int]]:
    pair = st.tuples(st.integers(1, 7), st.integers(1, 7))
    kernel, stride = draw(pair), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.one_of(st.sampled_from(["same", "valid"]), st.tuples(st.integers(0, 3), st.integers(0, 3))))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(7, 15), st.integers(7, 15)))
    more = {"kernel": kernel, "stride": stride, "padding": padding, "batch_norm": draw(st.booleans())}
    return (Conv(filters=draw(st.integers(1, 5)), **more) if draw(st.booleans()) else DepthwiseConv(**more)), shape


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(convolutions())
def test_convolutions_of_any_shape(case: tuple[Layer, tuple[int, ...]]) -> None:
    ((_, plan),) = plan_layers([case[0]], case[1])
    assert_true(plan, case[1])


# --- pooling ----------------------------------------------------------------------------------------------------------


def pool_by_hand(kind: str, image: Array, size: tuple[int, int], stride: tuple[int, int]) -> Array:
    """TensorFlow's SAME pooling of [C, H, W], window by window, over the pixels that exist."""
    _, height, width = image.shape
    rows, columns = -(-height // stride[0]), -(-width // stride[1])
    top = max((rows - 1) * stride[0] + size[0] - height, 0) // 2
    left = max((columns - 1) * stride[1] + size[1] - width, 0) // 2
    output = np.empty((len(image), rows, columns))
    for y in range(rows):
        for x in range(columns):
            low, start = max(y * stride[0] - top, 0), max(x * stride[1] - left, 0)
            high, stop = min(y * stride[0] - top + size[0], height), min(x * stride[1] - left + size[1], width)
            window = image[:, low:high, start:stop].reshape(len(image), -1)
            output[:, y, x] = window.max(axis=1) if kind == "max" else window.mean(axis=1)
    return output


@settings(deadline=None, max_examples=300, derandomize=True, database=None)
@given(
    st.sampled_from(["max", "average"]),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_same_pooling_counts_only_pixels_that_exist(
    kind: str, picture: tuple[int, int], size: tuple[int, int], stride: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).normal(-3, 1, (2, *picture)).astype(np.float32)
    word = {"max": MaxPool, "average": AveragePool}[kind](size=size, stride=stride, padding="same")
    if kind == "average" and any(k % 2 == 0 and s == 1 for k, s in zip(size, stride, strict=True)):
        with pytest.raises(UsageError, match="average_pool: an even window can't be 'same' at stride 1"):
            plan_layers([word], (2, *picture))
        return
    ((_, plan),) = plan_layers([word], (2, *picture))
    pool = plan.build()
    found = pool(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(found, pool_by_hand(kind, image, size, stride), rtol=1e-5)


SIXTEEN = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)


def test_pools_of_1_to_16() -> None:
    """[[1..4], [5..8], [9..12], [13..16]] by 2x2 windows."""
    none = Margins(0, 0, 0, 0)
    assert Pool2d("max", (2, 2), (2, 2), none)(SIXTEEN).flatten().tolist() == [6, 8, 14, 16]
    assert Pool2d("average", (2, 2), (2, 2), none)(SIXTEEN).flatten().tolist() == [3.5, 5.5, 11.5, 13.5]
    assert Pool2d("max", (3, 3), (1, 1), none)(SIXTEEN).flatten().tolist() == [11, 12, 15, 16]
    same = same_margins((4, 4), (3, 3), (2, 2))  # nothing before, one after
    assert Pool2d("average", (3, 3), (2, 2), same)(SIXTEEN).flatten().tolist() == [6, 7.5, 12, 13.5]


def test_a_convolution_by_hand() -> None:
    """A course's example: 2 - 1 + 0 * ... of patch and kernel, without turning the kernel round."""
    patch = torch.tensor([[1.0, 2, 0], [0, -1, 3], [2, 1, 1]])[None, None]
    conv = Conv2d(1, 1, (3, 3), (1, 1), Margins(0, 0, 0, 0), bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[0.0, 1, 0], [1, 0, -1], [0, -1, 1]]))
    assert conv(patch).item() == -1


def test_uneven_margins_go_to_the_bottom_and_right() -> None:
    conv = Conv2d(1, 1, (3, 3), (2, 2), same_margins((4, 4), (3, 3), (2, 2)), bias=False)
    with torch.no_grad():
        conv.weight.fill_(1.0)
    assert conv(SIXTEEN).flatten().tolist() == [54, 45, 72, 54]


# --- what does not fit ------------------------------------------------------------------------------------------------

MISFITS: dict[str, tuple[list[Layer], tuple[int, ...], str]] = {
    "a convolution of features": ([Flatten(), Conv(filters=4)], PICTURE, r"conv_2: conv needs a picture .*\[528\]"),
    "dense of a picture": ([Dense(units=4)], PICTURE, r"dense_1: dense needs features .*put flatten or a global pool"),
    "a window that does not fit": (
        [Conv(filters=4, kernel=(12, 3), padding="valid")],
        PICTURE,
        "conv_1: conv: a 12x3 window does not fit a 11x8 picture",
    ),
    "a pool that does not fit": ([MaxPool(size=(9, 9))], PICTURE, "max_pool_1: max_pool: a 9x9 window"),
    "a sum of two shapes": (
        [Residual(layers=(Conv(filters=4),))],
        PICTURE,
        r"residual_1: residual: \[6, 11, 8\] and \[4, 11, 8\] can't be added; use shortcut: conv",
    ),
    "a fault inside a residual": (
        [Relu(), Residual(name="block", layers=(Relu(), Dense(units=2)))],
        PICTURE,
        "block: dense_2: dense needs features",
    ),
    "an inverted residual of features": (
        [Flatten(), InvertedResidual(filters=4)],
        PICTURE,
        "inverted_residual_2: inverted_residual needs a picture",
    ),
    "one name twice": ([Relu(name="a"), Relu(name="a")], PICTURE, "two layers are named 'a'"),
    "a name that a place has": ([Relu(), Relu6(name="relu_1")], PICTURE, "two layers are named 'relu_1'"),
}


@pytest.mark.parametrize(("layers", "shape", "said"), MISFITS.values(), ids=MISFITS)
def test_layers_that_do_not_fit(layers: list[Layer], shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan_layers(layers, shape)
