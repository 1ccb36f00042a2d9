"""torch -> ONNX -> canonical: the same function, layers' names, the same bytes twice. The exporter takes seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgecnn.errors import UsageError
from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import Graph, to_onnx
from edgecnn.graph.program import read_program
from edgecnn.graph.trace import trace
from edgecnn.nn.network import plan_network
from edgecnn.recipe.layers import (
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    MaxPool,
    Relu,
    Residual,
    SeparableConv,
)
from edgecnn.recipe.schema import Model
from tests.graph.small_nets import evaluate, pictures, planes

pytestmark = pytest.mark.slow

NETS: dict[str, list[Layer]] = {
    "global average": [
        Conv(filters=6, stride=(2, 2), batch_norm=True, activation="relu6", name="stem"),
        Residual(layers=(DepthwiseConv(batch_norm=True, activation="relu6"), Conv(filters=6, kernel=(1, 1)))),
        SeparableConv(filters=8, kernel=(5, 5), padding="valid", activation="relu", name="separable"),
        GlobalAveragePool(),
        Dense(units=5, name="classifier"),
    ],
    "flatten": [
        Conv(filters=6, kernel=(3, 2), padding=(1, 0), activation="relu", name="stem"),
        MaxPool(size=(3, 3), stride=(2, 2), padding="same", name="down"),
        BatchNorm(name="norm"),
        AveragePool(size=(3, 3), stride=(2, 1), padding="same"),
        Dropout(rate=0.5),
        Flatten(),
        Dense(units=9, batch_norm=True, activation="relu6", name="hidden"),
        Dense(units=5, bias=False, name="classifier"),
    ],
    "global maximum": [
        MaxPool(size=(2, 2), stride=(1, 1), padding="same", name="uneven"),
        Residual(layers=(Conv(filters=6, stride=(2, 2), name="a"),), shortcut="conv", activation="relu", name="block"),
        Relu(),
        GlobalMaxPool(),
        Dense(units=5, name="classifier"),
    ],
}


def module_of(layers: list[Layer], seed: int = 3) -> nn.Module:
    """In eval mode, its batch norms away from one and zero."""
    torch.manual_seed(seed)
    module = plan_network(Model(layers=tuple(layers)), (3, 11, 12), 5).build().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            for values in (part.running_mean, part.weight.data, part.bias.data):
                values += torch.randn_like(values) / 3
            part.running_var.uniform_(0.5, 2)
    return module


def canonical_of(layers: list[Layer], batch: int = 1) -> Graph:
    return canonical(trace(module_of(layers), 3, 11, 12, batch))


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("layers", NETS.values(), ids=NETS)
def test_the_canonical_graph_is_the_torch_module(layers: list[Layer], batch: int) -> None:
    images = pictures(np.random.default_rng(0), 8, 11, 12)
    with torch.no_grad():
        expected = module_of(layers)(torch.from_numpy(planes(images))).numpy()
    found = evaluate(canonical_of(layers, batch), images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_changed_weight_is_seen() -> None:
    """The fault planted: one weight of one filter moves by a thousandth of the largest."""
    images = pictures(np.random.default_rng(0), 8, 11, 12)
    module = module_of(NETS["flatten"])
    graph = canonical(trace(module, 3, 11, 12))
    with torch.no_grad():
        module.get_submodule("stem.conv").weight[0, 0, 0, 0] += 1e-2
        expected = module(torch.from_numpy(planes(images))).numpy()
    assert np.abs(evaluate(graph, images) - expected).max() > 1e-5 * np.abs(expected).max()


def test_names_follow_the_layers() -> None:
    names = {name: [op.name for op in read_program(canonical_of(NETS[name])).ops] for name in NETS}
    assert names["global average"] == [
        "stem",
        "residual_2/depthwise_conv_1",
        "residual_2/conv_2",
        "residual_2/add",
        "separable/depthwise",
        "separable/pointwise",
        "global_average_pool_4",
        "global_average_pool_4/flatten",
        "classifier",
    ]
    assert names["flatten"] == ["stem", "down", "norm", "average_pool_4", "flatten_6", "hidden", "classifier"]
    found = names["global maximum"]
    assert (found[0], found[-1]) == ("uneven", "classifier")
    assert {"block/a", "block/shortcut", "block/add"} <= set(found)


def test_two_traces_give_the_same_bytes() -> None:
    first, second = (
        to_onnx(canonical_of(NETS["global average"])).SerializeToString(deterministic=True) for _ in range(2)
    )
    assert first == second


def test_what_torch_can_not_export_is_a_usage_error() -> None:
    class DependsOnData(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image if image.sum() > 0 else -image

    with pytest.raises(UsageError, match="torch can't export this model"):
        trace(DependsOnData(), 3, 8, 8)
