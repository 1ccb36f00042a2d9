"""Whole networks: the named architectures' figures, receptive fields, and a net that does not end in its classes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from edgecnn.errors import UsageError
from edgecnn.nn.network import Network, plan_network
from edgecnn.recipe.layers import (
    Conv,
    Dense,
    Flatten,
    FractionalMaxPool,
    GlobalAveragePool,
    InvertedResidual,
    Layer,
    MaxPool,
    Residual,
)
from edgecnn.recipe.schema import Model
from tests.nn.test_layers import multiply_adds

CIFAR = (3, 32, 32)


def named(arch: str, **more: float) -> Network:
    return plan_network(Model(arch=arch, **more), CIFAR, 10)


def layered(*layers: Layer, classes: int = 10) -> Network:
    return plan_network(Model(layers=layers), CIFAR, classes)


def test_tiny_cifar_has_268650_parameters() -> None:
    net = named("tiny_cifar")
    assert [row.params for row in net.rows() if row.params] == [448, 4640, 262272, 1290]
    assert net.params == 268_650
    assert sum(p.numel() for p in net.build().parameters()) == 268_650


def test_ds_cnn_s_arithmetic() -> None:
    net = named("ds_cnn")
    module = net.build()
    assert (net.macs, net.params) == (12_259_520, 170_954)
    assert sum(p.numel() for p in module.parameters()) == 170_954
    assert multiply_adds(module, torch.zeros(1, *CIFAR)) == ((10,), 12_259_520)


def test_ds_cnn_s_convolutions_need_no_pad_on_the_device() -> None:
    """All margins are SAME's: at 32x32 a stride of 2 has one row below and none above."""
    strided = [m for m in named("ds_cnn").build().modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == 3
    assert {(m.margins.top, m.margins.bottom) for m in strided} == {(0, 1)}


@pytest.mark.parametrize("arch", ["tiny_cifar", "ds_cnn", "mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize("width", [0.25, 0.5, 2.0])
def test_a_width_changes_the_plan_and_the_module_alike(arch: str, width: float) -> None:
    net = named(arch, width=width)
    module = net.build()
    assert multiply_adds(module, torch.zeros(1, *CIFAR)) == ((10,), net.macs)
    assert sum(p.numel() for p in module.parameters()) == net.params
    assert (net.params < named(arch).params) == (width < 1)


def fields(net: Network) -> list[tuple[int, int]]:
    return [row.receptive_field for row in net.rows()]


def test_three_stacked_convolutions_see_3_5_and_7() -> None:
    net = layered(*[Conv(filters=4, kernel=(3, 3))] * 3, GlobalAveragePool(), Dense(units=10))
    assert fields(net) == [(3, 3), (5, 5), (7, 7), (32, 32), (32, 32)]


def test_strides_widen_what_follows() -> None:
    """conv3/2 sees 3; pool2/2 sees 3 + 1 * 2; conv3 sees 5 + 2 * 4; rows and columns by themselves."""
    net = layered(
        Conv(filters=4, kernel=(3, 1), stride=(2, 1)),
        MaxPool(),
        Conv(filters=4, kernel=(3, 3)),
        Flatten(),
        Dense(units=10),
    )
    assert fields(net)[:3] == [(3, 1), (5, 2), (13, 6)]


def test_a_residual_sees_what_its_body_sees() -> None:
    inner = (Conv(filters=4, name="a"), Conv(filters=4, name="b"))
    net = layered(Residual(layers=inner, shortcut="conv", name="block"), GlobalAveragePool(), Dense(units=10))
    rows = {row.name: row for row in net.rows()}
    assert list(rows)[:4] == ["block/a", "block/b", "block/shortcut", "block/add"]
    assert rows["block/add"].receptive_field == (5, 5)
    assert rows["block/shortcut"].receptive_field == (1, 1)
    assert sum(row.params for row in rows.values()) == net.params
    assert sum(row.macs for row in rows.values()) == net.macs


def test_an_average_shortcut_is_torch_s_mean_of_the_strides_windows_and_then_a_projection() -> None:
    body = (Conv(filters=6, kernel=(3, 3), stride=(2, 2), name="a"),)
    net = layered(Residual(layers=body, shortcut="average", name="block"), GlobalAveragePool(), Dense(units=10))
    rows = {row.name: row for row in net.rows()}
    assert list(rows)[:4] == ["block/a", "block/shortcut/pool", "block/shortcut/project", "block/add"]
    assert rows["block/shortcut/project"].receptive_field == (2, 2)
    block = net.build().eval().get_submodule("block")
    image = torch.randn(2, 3, *net.input[1:])
    project, made = block.get_submodule("shortcut.project"), block.get_submodule("body")
    wanted = project(functional.avg_pool2d(image, 2)) + made(image)
    assert torch.allclose(block(image), wanted, atol=1e-6)
    assert next(project.parameters()).shape == (6, 3, 1, 1)


def test_a_layer_called_shortcut_stands_among_the_others() -> None:
    body = (Conv(filters=3, name="shortcut"), Conv(filters=3, name="b"))
    net = layered(Residual(layers=body, name="block"), GlobalAveragePool(), Dense(units=10))
    assert [row.name for row in net.rows()][:3] == ["block/shortcut", "block/b", "block/add"]
    assert fields(net)[:3] == [(3, 3), (5, 5), (5, 5)]


def test_an_inverted_residual_lists_its_layers_and_its_sum_if_it_has_one() -> None:
    net = layered(
        InvertedResidual(filters=3, expansion=1, name="a"),
        InvertedResidual(filters=4, stride=(2, 2), name="b"),
        InvertedResidual(filters=4, expansion=2, name="c"),
        GlobalAveragePool(),
        Dense(units=10),
    )
    rows = net.rows()[:-2]
    assert [(row.name, row.type, row.output, row.receptive_field) for row in rows] == [
        ("a/depthwise", "depthwise_conv", (3, 32, 32), (3, 3)),
        ("a/project", "conv", (3, 32, 32), (3, 3)),
        ("a/add", "add", (3, 32, 32), (3, 3)),
        ("b/expand", "conv", (18, 32, 32), (3, 3)),
        ("b/depthwise", "depthwise_conv", (18, 16, 16), (5, 5)),
        ("b/project", "conv", (4, 16, 16), (5, 5)),
        ("c/expand", "conv", (8, 16, 16), (5, 5)),
        ("c/depthwise", "depthwise_conv", (8, 16, 16), (9, 9)),
        ("c/project", "conv", (4, 16, 16), (9, 9)),
        ("c/add", "add", (4, 16, 16), (9, 9)),
    ]
    assert sum(row.params for row in net.rows()) == net.params
    assert sum(row.macs for row in net.rows()) == net.macs


def receptive_rows(module: nn.Module, size: int) -> int:
    """How many rows of the input move the middle value of the output: the field by perturbation."""
    image = torch.zeros(1, 3, size, size, requires_grad=True)
    output = module(image)
    output[0, :, output.shape[2] // 2, output.shape[3] // 2].sum().backward()
    assert image.grad is not None
    return int((image.grad.abs().sum(dim=(0, 1, 3)) > 0).sum())


def test_the_field_is_what_gradients_reach() -> None:
    layers = (Conv(filters=4), Conv(filters=4, stride=(2, 2)), Conv(filters=4, kernel=(5, 5)))
    net = plan_network(Model(layers=(*layers, GlobalAveragePool(), Dense(units=10))), (3, 64, 64), 10)
    body = nn.Sequential(*list(net.build().children())[:3])
    assert receptive_rows(body, 64) == fields(net)[2][0] == 13


def test_a_net_must_end_in_its_classes() -> None:
    with pytest.raises(UsageError, match=r"ends in \[4\], but the data has 10 classes: end in dense: \{units: 10\}"):
        layered(Flatten(), Dense(units=4))
    with pytest.raises(UsageError, match=r"ends in \[3, 32, 32\]"):
        layered(Conv(filters=3))


@pytest.mark.parametrize("name", ["half", "train", "training", "append"])
def test_a_name_that_torch_has_is_said(name: str) -> None:
    layers = (Conv(filters=4, name=name), GlobalAveragePool(), Dense(units=10))
    with pytest.raises(UsageError, match=f"no layer can be called '{name}'"):
        plan_network(Model(layers=layers), CIFAR, 10).build()


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ((Flatten(), Dense(units=10)), "ends in flatten, dense; it must end in global_average_pool"),
        (
            (FractionalMaxPool(ratio=1.5), GlobalAveragePool(), Dense(units=10)),
            "fractional_max_pool_2 .* one size only",
        ),
    ],
)
def test_what_is_not_fully_convolutional_is_said(end: tuple[Layer, ...], message: str) -> None:
    layers = (Conv(filters=4), *end)
    with pytest.raises(UsageError, match=message):
        plan_network(Model(layers=layers, fully_convolutional=True), CIFAR, 10)


def test_an_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown architecture 'ds_cn'; did you mean 'ds_cnn'"):
        named("ds_cn")
