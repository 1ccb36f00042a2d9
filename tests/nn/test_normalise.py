"""The first layer for what trained weights want, against the formula; it is neither saved nor trained."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import normalize

from edgecnn.errors import UsageError
from edgecnn.nn.network import plan_network
from edgecnn.nn.normalise import put_in_front
from edgecnn.recipe.schema import Model
from edgecnn.train.freeze import freeze

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_the_network_sees_what_torchvisions_transform_gives() -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), dtype=np.uint8))
    seen = put_in_front(torch.nn.Identity(), MEAN, STD)((pixels.float() - 128.0) / 128.0)
    expected = normalize(pixels / 255.0, list(MEAN), list(STD))
    assert torch.allclose(seen, expected, atol=1e-5)


def test_names_stay_and_nothing_is_added_to_learn() -> None:
    plain = plan_network(Model(torchvision="resnet18"), (3, 64, 64), 5)
    wants = plan_network(Model(torchvision="resnet18", mean=MEAN, std=STD), (3, 64, 64), 5)
    module = wants.build()
    assert list(module.state_dict()) == list(plain.build().state_dict())
    assert wants.params == plain.params == sum(value.numel() for value in module.parameters())
    assert wants.macs == plain.macs + 3 * 64 * 64
    assert [(row.name, row.type, row.params, row.inputs) for row in wants.rows()][:2] == [
        ("normalise", "depthwise_conv", 0, ("picture",)),
        ("conv1", "conv", 9408, ("normalise",)),
    ]
    freeze(module, "layer1")
    assert [name for name, value in module.named_parameters() if not value.requires_grad][-1] == "layer1.1.bn2.bias"


def test_a_copy_is_its_own() -> None:
    """As an average of weights is made: its first layer is not the original's."""
    module = put_in_front(torch.nn.Identity(), MEAN, STD)
    other = copy.deepcopy(module)
    other.normalise.bias.zero_()
    image = torch.zeros(1, 3, 2, 2)
    assert other(image).abs().max() == 0.0
    assert module(image).abs().max() > 0.0


def test_as_many_numbers_as_channels() -> None:
    with pytest.raises(UsageError, match="mean and std have 1 numbers, and the pictures 3 channels"):
        plan_network(Model(torchvision="resnet18", mean=(0.5,), std=(0.5,)), (3, 64, 64), 5)
