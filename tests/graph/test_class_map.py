"""The map form of a classifier: its mean is the classifier's answer, and each place is what torch says of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgecnn.errors import UsageError
from edgecnn.graph.canonical import LOGITS
from edgecnn.graph.class_map import at_size, class_map
from edgecnn.graph.edit import to_onnx
from edgecnn.graph.reference import Reference
from edgecnn.quantize import quantize, quantized_map
from tests.graph.small_nets import Net, evaluate, pictures, planes

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


@pytest.mark.parametrize("size", [(12, 20), (24, 20), (13, 31), (48, 64)])
def test_at_another_size_there_are_more_places(size: tuple[int, int]) -> None:
    """What torch gives where the same layers go over a larger picture; at the classifier's size the map itself."""
    net, larger = plain(), pictures(np.random.default_rng(3), 2, *size)
    values = {"x": torch.from_numpy(planes(larger))}
    for name, function, inputs in net.steps[:-3]:  # without pool, flatten and dense layer
        values[name] = function(*(values[given] for given in inputs))
    weight, bias = (torch.from_numpy(net.constants[f"classifier.{i}"]) for i in (0, 1))
    expected = functional.conv2d(values["features"], weight[:, :, None, None], bias).numpy()
    found = evaluate(at_size(class_map(net.canonical()), size), larger)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_integers_and_scales_stay_at_another_size() -> None:
    """Where both sizes' windows lie alike, a place says the same to the bit as it does in a smaller picture."""
    net = plain()
    int8 = quantize(net.canonical(), IMAGES)
    small = quantized_map(int8, net.canonical(), IMAGES)
    large = at_size(small, (2 * HEIGHT, WIDTH))
    tall = np.concatenate([IMAGES, IMAGES[::-1]], axis=1)
    found = Reference(large).output(tall)
    assert found.shape == (len(IMAGES), 5, HEIGHT, WIDTH // 2)
    np.testing.assert_array_equal(
        found[:, :, : HEIGHT // 2 - 2], Reference(small).output(IMAGES)[:, :, : HEIGHT // 2 - 2]
    )


def test_channels_are_shuffled_at_another_size() -> None:
    net = Net(np.random.default_rng(2), HEIGHT, WIDTH)
    shuffled = net.shuffle_channels(net.conv("x", "stem", 8), "shuffle", 2)
    net.dense(net.flatten(net.global_average_pool(shuffled, "pool")), "classifier", 5)
    larger = np.tile(IMAGES, (1, 2, 1, 1))
    small, large = (
        evaluate(made, given)
        for made, given in (
            (class_map(net.canonical()), IMAGES),
            (at_size(class_map(net.canonical()), (2 * HEIGHT, WIDTH)), larger),
        )
    )
    np.testing.assert_allclose(large, np.tile(small, (1, 1, 2, 1)), rtol=1e-5, atol=1e-6)


def test_a_size_that_does_not_fit_is_said() -> None:
    net = Net(np.random.default_rng(2), HEIGHT, WIDTH)
    net.dense(net.flatten(net.global_average_pool(net.conv("x", "stem", 4, (7, 7)), "pool")), "classifier", 5)
    with pytest.raises(UsageError, match="does not fit pictures of 4x9"):
        at_size(class_map(net.canonical()), (4, 9))


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
