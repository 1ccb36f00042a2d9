"""The map form of a classifier: its mean is the classifier's answer, and each place is what torch says of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgecnn.errors import UsageError
from edgecnn.graph.canonical import LOGITS
from edgecnn.graph.class_map import class_map
from edgecnn.graph.edit import to_onnx
from tests.graph.small_nets import Net, evaluate, pictures

HEIGHT, WIDTH = 12, 20
IMAGES = pictures(np.random.default_rng(1), 6, HEIGHT, WIDTH)


def body(net: Net) -> str:
    stem = net.relu6(net.conv("x", "stem", 8, (3, 3), (2, 2), (0, 0, 1, 1), gain=3.0), "act")
    return net.relu(net.add(net.conv(stem, "inside", 8, (3, 3), margins=(1, 1, 1, 1)), stem, "sum"), "features")


def plain(batch: int = 1) -> Net:
    net = Net(np.random.default_rng(2), HEIGHT, WIDTH, batch)
    net.dense(net.flatten(net.global_average_pool(body(net), "pool")), "classifier", 5)
    return net


def with_softmax() -> Net:
    net = plain()
    net.probabilities = True
    return net


@pytest.mark.parametrize("make", [plain, with_softmax, lambda: plain(batch=3)])
def test_the_mean_of_the_map_is_the_classifiers_logits(make: Callable[[], Net]) -> None:
    net = make()
    net_logits = Net.torch(plain(), IMAGES)  # without the softmax
    made = class_map(net.canonical())
    assert [value.name for value in made.outputs] == [LOGITS]
    found = evaluate(made, IMAGES)
    assert found.shape == (len(IMAGES), 5, 6, 10)
    np.testing.assert_allclose(found.mean(axis=(2, 3)), net_logits, rtol=1e-5, atol=1e-5 * np.abs(net_logits).max())


def test_each_place_is_the_dense_layer_of_the_features_there() -> None:
    net = plain()
    values = {"x": torch.from_numpy((IMAGES.astype(np.float32).transpose(0, 3, 1, 2) - 128) / 128)}
    for name, function, inputs in net.steps:
        values[name] = function(*(values[given] for given in inputs))
    weight, bias = (torch.from_numpy(net.constants[f"classifier.{i}"]) for i in (0, 1))
    expected = functional.linear(values["features"].permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)
    found = evaluate(class_map(net.canonical()), IMAGES)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_the_classifier_is_left_as_it_was() -> None:
    graph = plain().canonical()
    before = to_onnx(graph).SerializeToString(deterministic=True)
    class_map(graph)
    assert to_onnx(graph).SerializeToString(deterministic=True) == before


def other_ends(end: str) -> Net:
    net = Net(np.random.default_rng(2), HEIGHT, WIDTH)
    last = body(net)
    if end == "maximum":
        net.dense(net.flatten(net.global_max_pool(last, "pool")), "classifier", 5)
    elif end == "flatten":
        net.dense(net.flatten(last), "classifier", 5)
    elif end == "two dense":
        hidden = net.dense(net.flatten(net.global_average_pool(last, "pool")), "hidden", 7)
        net.dense(net.relu(hidden, "between"), "classifier", 5)
    elif end == "activated":
        net.relu(net.dense(net.flatten(net.global_average_pool(last, "pool")), "classifier", 5), "last")
    else:
        net.flatten(net.global_average_pool(net.conv(last, "classifier", 5), "pool"))
    return net


@pytest.mark.parametrize(
    ("end", "named"),
    [
        ("maximum", "ReduceMax -> Flatten -> Gemm"),
        ("flatten", "Add with relu -> Flatten -> Gemm"),
        ("two dense", "Flatten -> Gemm with relu -> Gemm"),
        ("activated", "GlobalAveragePool -> Flatten -> Gemm with relu"),
        ("pooled logits", "Conv -> GlobalAveragePool -> Flatten"),
    ],
)
def test_other_ends_have_no_map(end: str, named: str) -> None:
    with pytest.raises(UsageError, match=f"this one ends in {named}$"):
        class_map(other_ends(end).canonical())
