"""Classifiers of other libraries: what they are planned by, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from edgecnn.errors import UsageError
from edgecnn.nn import torchvision
from edgecnn.nn.library import LibraryNetwork, library
from edgecnn.recipe.schema import LIBRARIES


@pytest.mark.parametrize("name", LIBRARIES)
def test_each_library_of_the_recipes_is_one_of_these(name: str) -> None:
    for function in ("build", "statistics", "trained"):
        assert callable(getattr(library(name), function))


def test_a_network_that_looks_at_values_as_it_is_built() -> None:
    """RegNet computes its widths with tensors: published are 4,344,144 parameters and 0.4 GMACs."""
    published = models.get_model_weights("regnet_y_400mf").DEFAULT.meta
    net = LibraryNetwork.planned("torchvision", "regnet_y_400mf", (3, 224, 224), 1000)
    assert net.params == published["num_params"]
    assert net.macs / 1e9 == pytest.approx(published["_ops"], abs=0.0055)


def test_what_is_no_classifier_of_so_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision, "build", lambda *_: torch.nn.Conv2d(3, 4, 3))
    with pytest.raises(UsageError, match="torchvision's odd is no classifier that can be given 4 classes"):
        LibraryNetwork.planned("torchvision", "odd", (3, 8, 8), 4)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_side_branches_change_their_pixels_themselves(name: str) -> None:
    """torchvision's transform_input, by which trained ones see (pixel / 255 - 0.5) / 0.5: ours does so in front."""
    wants = torchvision.statistics(name, 3)
    extra = {"aux_logits": False, "init_weights": False}
    theirs = models.get_model(name, weights=None, transform_input=True, **extra)
    pixels = torch.rand(1, 3, 4, 4)
    usual = torch.stack(
        [(pixels[:, i] - m) / s for i, (m, s) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225)))], 1
    )
    expected = theirs._transform_input(usual)
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (wants.mean, wants.std))
    assert torch.allclose((pixels - mean) / std, expected, atol=1e-5)


def test_trained_weights_are_loaded_by_torchvision_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives the tensors of DenseNet's files, which have older names, the names of today."""
    asked = {}

    def get_model(name: str, **how: object) -> torch.nn.Module:
        asked.update(how, name=name)
        return torch.nn.Identity()

    monkeypatch.setattr(models, "get_model", get_model)
    torchvision.trained("densenet121", (3, 32, 32))
    assert asked["weights"] == models.get_model_weights("densenet121").DEFAULT
