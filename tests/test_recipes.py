"""The packaged recipes: as many parameters and multiply-adds as are counted by hand, or as their first lines say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from edgecnn.nn.archs import lenet5
from edgecnn.recipe import load_recipe
from edgecnn.verbs.inspect import inspect
from edgecnn.verbs.recipes import plan_network

RECIPES = Path(__file__).parents[1] / "recipes"


def conv(kernel: int, given: int, filters: int, side: int) -> tuple[int, int]:
    """(parameters, multiply-adds): F * (K*K*C) + F and H*W * K*K*C * F."""
    return filters * kernel * kernel * given + filters, side * side * kernel * kernel * given * filters


def dense(given: int, units: int) -> tuple[int, int]:
    return given * units + units, given * units


COUNTS = {
    "mnist_cnn": (896_906, [conv(3, 1, 32, 28), conv(3, 32, 64, 28), conv(3, 64, 128, 14), dense(6272, 128)]),
    "mnist_dense": (101_770, [dense(784, 128)]),
    "lenet5_mnist": (61_706, [conv(5, 1, 6, 28), conv(5, 6, 16, 10), dense(400, 120), dense(120, 84)]),
}
"""What is said of each, and its layers before the last."""


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    expected, layers = COUNTS[name]
    layers = [*layers, dense(84 if name == "lenet5_mnist" else 128, 10)]
    record = inspect(RECIPES / f"{name}.yaml")
    assert record.params == expected == sum(params for params, _ in layers)
    assert record.macs == sum(macs for _, macs in layers)


@pytest.mark.parametrize("name", COUNTS)
def test_the_module_has_as_many_and_takes_grey(name: str) -> None:
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    module = plan_network(recipe.model, (1, 28, 28), 10).build().eval()
    assert sum(value.numel() for value in module.parameters()) == COUNTS[name][0]
    assert module(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", COUNTS)
def test_digits_in_the_place_of_clothes(name: str) -> None:
    recipe = load_recipe(RECIPES / f"{name}.yaml", {"data.source": "mnist"})
    assert (recipe.data.source, recipe.input.channels) == ("mnist", 1)


def test_lenet5_is_the_same_by_its_name() -> None:
    assert load_recipe(RECIPES / "lenet5_mnist.yaml").model.layers == lenet5.layers(10, 1.0, (28, 28))


SAID = re.compile(r"^# .*: ([\d.]+) M multiply-adds, ([\d.]+) M parameters\.$", re.M)
BY_NAME = {
    **dict.fromkeys(["alexnet_cifar", "inception_cifar", "shufflenet_cifar", "vgg11_cifar"], 10),
    **dict.fromkeys(["efficientnet_photos", "mobilenet_v3_photos", "squeezenet_photos"], 6),
}
"""Recipes of named architectures, and their classes."""


@pytest.mark.parametrize("name", BY_NAME)
def test_a_recipe_s_first_line_is_true(name: str) -> None:
    said = SAID.search((RECIPES / f"{name}.yaml").read_text().splitlines()[0])
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    assert said is not None
    size = recipe.input.size
    net = plan_network(recipe.model, (3, *(size if isinstance(size, tuple) else (size, size))), BY_NAME[name])
    assert (f"{net.macs / 1e6:.1f}", f"{net.params / 1e6:.2f}") == said.groups()
