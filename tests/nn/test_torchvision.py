"""torchvision's classifiers by name: their tables against what torchvision publishes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from edgecnn.errors import UsageError
from edgecnn.nn.network import plan_network
from edgecnn.recipe.schema import Model
from tests.nn.test_layers import multiply_adds
from tests.verbs.torchvision_nets import NETS


@pytest.mark.parametrize("name", NETS)
def test_parameters_and_multiply_adds_are_those_that_torchvision_publishes(name: str) -> None:
    """num_params to the last one, of the weights that were trained; GFLOPS of a 224x224 picture as printed there."""
    published = models.get_model_weights(name).DEFAULT.meta
    net = plan_network(Model(torchvision=name), (3, 224, 224), 1000)
    assert net.params == published["num_params"]
    assert net.macs / 1e9 == pytest.approx(published["_ops"], abs=0.0015 + 0.01 * published["_ops"])


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_1", "densenet121", "googlenet"])
def test_a_classifier_of_our_own_classes(name: str) -> None:
    net = plan_network(Model(torchvision=name), (3, 64, 64), 7)
    module = net.build().eval()
    assert multiply_adds(module, torch.zeros(1, 3, 64, 64)) == ((7,), net.macs)
    assert sum(row.params for row in net.rows()) == net.params == sum(p.numel() for p in module.parameters())


def test_dense_layers_over_maps_count_at_each_place() -> None:
    """ConvNeXt's are dense layers over [N, H, W, C], most of its 4.456 GMACs."""
    published = models.get_model_weights("convnext_tiny").DEFAULT.meta
    net = plan_network(Model(torchvision="convnext_tiny"), (3, 224, 224), 1000)
    assert net.params == published["num_params"]
    assert net.macs / 1e9 == pytest.approx(published["_ops"], abs=0.0006)
    row = next(row for row in net.rows() if row.name == "features.1.0.block.3")
    assert row.macs == 56 * 56 * 96 * 384


def test_the_field_of_a_row() -> None:
    """ResNet-18's stem: 7x7 at stride 2, a 3x3 pool at stride 2, then 3x3 convolutions four pixels apart."""
    rows = {row.name: row for row in plan_network(Model(torchvision="resnet18"), (3, 224, 224), 10).rows()}
    assert rows["conv1"].receptive_field == (7, 7)
    assert rows["maxpool"].receptive_field == (11, 11)
    assert rows["layer1.0.conv1"].receptive_field == (19, 19)
    assert rows["layer1.0.add"].receptive_field == (27, 27)
    assert rows["layer4.1.conv2"].receptive_field == (435, 435)  # Araujo et al., Distill (2019), table of ResNets
    assert rows["fc"].receptive_field == (224, 224)
    assert rows["layer2.0.downsample.0"].macs == 128 * 64 * 28 * 28
    assert rows["conv1"].output == (64, 112, 112)


def test_an_unknown_name_and_a_picture_that_is_too_small() -> None:
    with pytest.raises(UsageError, match="no classifier 'mobilnet_v2'; did you mean 'mobilenet_v2'"):
        plan_network(Model(torchvision="mobilnet_v2"), (3, 32, 32), 10)
    with pytest.raises(UsageError, match="squeezenet1_1 does not take pictures of 8x8"):
        plan_network(Model(torchvision="squeezenet1_1"), (3, 8, 8), 10)
    with pytest.raises(UsageError, match="resnet18 does not take grey pictures of 32x32"):
        plan_network(Model(torchvision="resnet18"), (1, 32, 32), 10)
