"""The MobileNets against what their authors published and against torchvision's module, at both forms' sizes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from edgecnn.data import DataSpec, open_dataset
from edgecnn.formats import Format, all_formats
from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import Graph
from edgecnn.graph.trace import trace
from edgecnn.nn.forms import scaled
from edgecnn.nn.network import Network, plan_network
from edgecnn.proof.parity import LayerReference, check_layers
from edgecnn.quantize import quantize
from edgecnn.recipe.schema import Model
from tests.graph.small_nets import planes
from tests.nn.test_layers import multiply_adds

IMAGENET, CIFAR = (224, 1000), (32, 10)


def planned(arch: str, width: float, size: int, classes: int) -> Network:
    return plan_network(Model(arch=arch, width=width), (3, size, size), classes)


# Millions of parameters and of multiply-adds, as printed.
PUBLISHED: list[tuple[str, float, tuple[int, int], float, float]] = [
    # arXiv:1704.04861, table 6
    ("mobilenet_v1", 1.0, IMAGENET, 4.2, 569),
    ("mobilenet_v1", 0.75, IMAGENET, 2.6, 325),
    ("mobilenet_v1", 0.5, IMAGENET, 1.3, 149),
    ("mobilenet_v1", 0.25, IMAGENET, 0.5, 41),
    # github.com/kuangliu/pytorch-cifar, models/mobilenet.py, summed by hand
    ("mobilenet_v1", 1.0, CIFAR, 3.2, 46),
    # arXiv:1801.04381, table 4, says 3.4 M and 300 M; these are torchvision's, whose parameters are compared below
    ("mobilenet_v2", 1.0, IMAGENET, 3.5, 301),
    # github.com/chenyaofo/pytorch-cifar-models, README
    ("mobilenet_v2", 0.5, CIFAR, 0.70, 27.97),
    ("mobilenet_v2", 0.75, CIFAR, 1.37, 59.31),
    ("mobilenet_v2", 1.0, CIFAR, 2.24, 87.98),
    ("mobilenet_v2", 1.4, CIFAR, 4.33, 170.07),
]


@pytest.mark.parametrize(("arch", "width", "form", "params_m", "macs_m"), PUBLISHED)
def test_published_figures(arch: str, width: float, form: tuple[int, int], params_m: float, macs_m: float) -> None:
    """To the last digit that is printed; of a whole number of millions, to one of them."""
    net = planned(arch, width, *form)
    digits = len(str(params_m).partition(".")[2])
    assert net.params / 1e6 == pytest.approx(params_m, abs=0.5001 * 10**-digits)
    assert net.macs / 1e6 == pytest.approx(macs_m, abs=0.005001 if isinstance(macs_m, float) else 0.51)


# sum(p.numel() for p in torchvision.models.mobilenet_v2(width_mult=width).parameters()), torchvision 0.29.1
TORCHVISION = {1.4: 6_108_776, 1.0: 3_504_872, 0.75: 2_636_424, 0.5: 1_968_680, 0.35: 1_677_128}


@pytest.mark.parametrize(("width", "params"), TORCHVISION.items())
def test_mobilenet_v2_has_torchvision_s_parameters(width: float, params: int) -> None:
    assert planned("mobilenet_v2", width, *IMAGENET).params == params


@pytest.mark.parametrize("width", TORCHVISION)
def test_mobilenet_v2_has_torchvision_s_tensors(width: float) -> None:
    """Every weight's shape, in order."""
    with torch.device("meta"):
        theirs = models.mobilenet_v2(width_mult=width)
        ours = planned("mobilenet_v2", width, *IMAGENET).build()
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]


@pytest.mark.parametrize("arch", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize(("size", "before_pooling"), [(32, 4), (63, 8), (64, 2), (96, 3), (224, 7)])
def test_small_pictures_are_not_shrunk_to_nothing(arch: str, size: int, before_pooling: int) -> None:
    expected = before_pooling // 2 if arch == "mobilenet_v1" and size < 64 else before_pooling
    rows = planned(arch, 0.25, size, 5).rows()
    before = next(a for a, b in pairwise(rows) if b.name == "pool")
    assert before.output[1:] == (expected, expected)


def test_the_smaller_side_decides() -> None:
    net = plan_network(Model(arch="mobilenet_v2"), (3, 160, 63), 5)
    assert net.layers[0][1].output[1:] == (160, 63)


@pytest.mark.parametrize("arch", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize("size", [32, 96])
def test_the_module_does_what_is_planned(arch: str, size: int) -> None:
    net = planned(arch, 0.35, size, 7)
    module = net.build()
    assert multiply_adds(module, torch.zeros(1, 3, size, size)) == ((7,), net.macs)
    assert sum(p.numel() for p in module.parameters()) == net.params


def test_only_the_projections_are_linear() -> None:
    blocks = [part for name, part in planned("mobilenet_v2", 0.35, *CIFAR).build().named_children() if "block" in name]
    convolutions = [
        m for block in blocks for m in block.named_modules() if m[0].endswith(("expand", "depthwise", "project"))
    ]
    assert len(blocks) == 17
    assert len(convolutions) == 3 * 17 - 1
    for name, convolution in convolutions:
        assert isinstance(convolution.norm, nn.BatchNorm2d)
        assert hasattr(convolution, "act") != name.endswith("project")


def test_channels_scale_in_eights_and_lose_a_tenth_at_most() -> None:
    """Worked by hand: 24 * 0.75 = 18 -> 16 would lose a ninth -> 24; 96 * 0.35 = 33.6 -> 32; 16 * 0.25 = 4 -> 8."""
    assert [scaled(24, 0.75), scaled(96, 0.35), scaled(16, 0.25), scaled(1280, 1.4)] == [24, 32, 8, 1792]
    for channels in (16, 24, 32, 64, 96, 160, 320, 1280):
        for width in (0.1, 0.35, 0.5, 0.75, 1.0, 1.4):
            made = scaled(channels, width)
            assert made % 8 == 0
            assert made >= 0.9 * channels * width


# --- as int8 files ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quantized() -> tuple[Graph, LayerReference]:
    """An untrained MobileNetV2 whose batch norms have seen real pictures, and its values on some of them."""
    images = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("train").images[:256]
    torch.manual_seed(0)
    module = planned("mobilenet_v2", 0.35, *CIFAR).build()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # the mean over all that is seen
        for batch in np.split(images, 4):
            module(torch.from_numpy(planes(batch)))
    graph = quantize(canonical(trace(module.eval(), 3, 32, 32)), images[:128])
    return graph, LayerReference(graph, images[:16])


@pytest.mark.slow
@pytest.mark.parametrize("form", all_formats().values(), ids=all_formats())
def test_each_int8_layer_is_within_a_step_in_every_format(
    quantized: tuple[Graph, LayerReference], form: Format, tmp_path: Path
) -> None:
    """Also the sums, of two values of either sign that no activation has cut off.

    There are ten, and at this width an eleventh: block2 keeps its eight channels, and for small pictures its size.
    """
    graph, reference = quantized
    form.write(graph, tmp_path, {})
    report = check_layers(form.name, form.name, tmp_path / form.model, reference)
    assert report.first_wrong is None
    checked = [layer for layer in report.layers if layer.apart is not None]
    sums = [layer for layer in checked if layer.type == "Add"]
    assert len(sums) == 11
    assert min(layer.levels for layer in sums) >= 64
    assert sum(layer.type == "Conv" for layer in checked) == 1 + (2 + 16 * 3) + 1  # stem, blocks, head
