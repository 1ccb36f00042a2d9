"""What a course on CNNs works out by hand, through edgecnn's layers and through the files that it exports."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgecnn.edge.runtimes import runtime_for
from edgecnn.formats import all_formats, find_format
from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import from_onnx, to_onnx
from edgecnn.graph.program import read_program
from edgecnn.graph.trace import trace
from edgecnn.nn.layers import plan_layers
from edgecnn.nn.network import Network, plan_network
from edgecnn.quantize import quantize
from edgecnn.recipe.layers import (
    AveragePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
)
from edgecnn.recipe.schema import Model

Array = NDArray[Any]
UNIT = 128
"""A pixel of 128 + v is v / 128 in the net: worked examples in whole numbers are 1 / UNIT of what they are on paper."""

PATCH = ((1, 2, 0), (0, -1, 3), (2, 1, 1))
KERNEL = ((0, 1, 0), (1, 0, -1), (0, -1, 1))
SIXTEEN = tuple(tuple(range(row, row + 4)) for row in (1, 5, 9, 13))


def built(*layers: Layer, picture: tuple[int, int, int]) -> nn.Module:
    """The module of layers for a picture [C, H, W], in eval mode."""
    parts = plan_layers(layers, picture)
    return nn.Sequential(*(plan.build() for _, plan in parts)).eval()


def convolved(bias: float = 0.0, activation: str = "linear") -> nn.Module:
    """The patch's net for pictures of three channels, of which the kernel looks at the first; flattened."""
    layer = Conv(filters=1, kernel=(3, 3), padding="valid", activation=activation)
    module = built(layer, Flatten(), picture=(3, 3, 3))
    (conv,) = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0] = torch.tensor(KERNEL)
        conv.bias.fill_(bias / UNIT)
    return module


CASES: dict[str, tuple[nn.Module, tuple[tuple[int, ...], ...], tuple[float, ...]]] = {
    "a patch and a kernel": (convolved(), PATCH, (-1,)),
    "with bias 0.5": (convolved(bias=0.5), PATCH, (-0.5,)),
    "with bias 0.5 and ReLU": (convolved(bias=0.5, activation="relu"), PATCH, (0,)),
    "1 to 16, the largest of 2x2": (
        built(MaxPool(size=(2, 2), stride=(2, 2)), Flatten(), picture=(3, 4, 4)),
        SIXTEEN,
        (6, 8, 14, 16),
    ),
    "1 to 16, the mean of 2x2": (
        built(AveragePool(size=(2, 2), stride=(2, 2)), Flatten(), picture=(3, 4, 4)),
        SIXTEEN,
        (3.5, 5.5, 11.5, 13.5),
    ),
}


def pixels(picture: tuple[tuple[int, ...], ...]) -> Array:
    """uint8 [1, H, W, 3]: the numbers in the first channel, zeros in the others."""
    image = np.full((1, len(picture), len(picture[0]), 3), UNIT, np.uint8)
    image[0, :, :, 0] += np.array(picture, np.int8).view(np.uint8)
    return image


@pytest.mark.parametrize("case", CASES)
def test_by_our_own_layers(case: str) -> None:
    module, picture, expected = CASES[case]
    planes = torch.zeros(1, 3, len(picture), len(picture[0]))
    planes[0, 0] = torch.tensor(picture)
    with torch.no_grad():
        found = module(planes / UNIT)[0] * UNIT
    assert found[: len(expected)].tolist() == list(expected)


@cache
def graph_of(case: str, precision: str) -> bytes:
    """A case's canonical or QDQ graph as ONNX; traced once for all formats."""
    module, picture, _ = CASES[case]
    if precision == "fp32":
        return to_onnx(canonical(trace(module, 3, len(picture), len(picture[0])))).SerializeToString()
    drawn = np.random.default_rng(0).integers(118, 148, (64, len(picture), len(picture[0]), 3), dtype=np.uint8)
    fp32 = from_onnx(onnx.load_from_string(graph_of(case, "fp32")))
    return to_onnx(quantize(fp32, np.concatenate([pixels(picture), drawn]))).SerializeToString()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("form", list(all_formats()))
def test_by_the_exported_files(case: str, form: str, precision: str, tmp_path: Path) -> None:
    """fp32 as exactly as floats are, int8 to the nearest step of its output's grid."""
    graph, writer = from_onnx(onnx.load_from_string(graph_of(case, precision))), find_format(form)
    writer.write(graph, tmp_path, {})
    _, picture, expected = CASES[case]
    found = runtime_for(form).open(tmp_path / writer.model, 1).run(pixels(picture))[0].astype(np.float64)
    grid, tolerance = read_program(graph).output.grid, 1e-5
    assert (grid is not None) is (precision == "int8")
    if grid is not None:
        found, tolerance = (found - grid.zero_point) * grid.scale, 0.51 * grid.scale * UNIT
        assert tolerance < 0.52, "a step is no more than the example's whole numbers are apart"
    np.testing.assert_allclose(found[: len(expected)] * UNIT, expected, rtol=0, atol=tolerance)


# --- arithmetic -------------------------------------------------------------------------------------------------------


def net(*layers: Layer, picture: tuple[int, int, int] = (3, 32, 32)) -> Network:
    return plan_network(Model(layers=layers), picture, 10)


def test_a_convolution_from_3_to_16_channels() -> None:
    """3x3, same, 32x32: 16 * (3 * 3 * 3) + 16 parameters, 32 * 32 * 3 * 3 * 3 * 16 multiply-adds."""
    row = net(Conv(filters=16, kernel=(3, 3), padding="same"), Flatten(), Dense(units=10)).rows()[0]
    assert (row.output, row.params, row.macs) == ((16, 32, 32), 448, 442_368)
    module = built(Conv(filters=16, kernel=(3, 3), padding="same"), picture=(3, 32, 32))
    assert sum(value.numel() for value in module.parameters()) == 448


def test_stacked_3x3_convolutions_see_3_5_and_7() -> None:
    layers = [Conv(filters=4, kernel=(3, 3))] * 3
    fields = [row.receptive_field for row in net(*layers, GlobalAveragePool(), Dense(units=10)).rows()[:3]]
    assert fields == [(3, 3), (5, 5), (7, 7)]
    module = built(*layers, picture=(3, 32, 32))
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    module(image)[0, :, 16, 16].sum().backward()
    assert image.grad is not None
    assert int((image.grad.abs().sum((0, 1, 3)) > 0).sum()) == 7, "and so far do gradients reach"


MNIST_CNN = (
    Conv(filters=32, activation="relu"),
    Conv(filters=64, activation="relu"),
    MaxPool(),
    Dropout(rate=0.25),
    Conv(filters=128, activation="relu"),
    MaxPool(),
    Flatten(),
    Dense(units=128, activation="relu"),
    Dropout(rate=0.5),
    Dense(units=10),
)


def test_mnist_cnn_has_896906_parameters() -> None:
    """320 + 18,496 + 73,856 + 802,944 + 1,290."""
    found = net(*MNIST_CNN, picture=(1, 28, 28))
    assert [row.params for row in found.rows() if row.params] == [320, 18_496, 73_856, 802_944, 1_290]
    assert found.params == sum(value.numel() for value in found.build().parameters()) == 896_906


def test_the_dense_net_that_it_replaces_has_101770() -> None:
    """784 * 128 + 128 and 128 * 10 + 10."""
    found = net(Flatten(), Dense(units=128, activation="relu"), Dense(units=10), picture=(1, 28, 28))
    assert [row.params for row in found.rows() if row.params] == [100_480, 1_290]
    assert found.params == 101_770
