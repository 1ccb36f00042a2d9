"""Each pass of canonical() on a small graph of its own: the same function before and after, by ONNX's evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, checker

from edgecnn.errors import UsageError
from edgecnn.graph.canonical import STEPS, canonical
from edgecnn.graph.edit import Graph, Node, Value, to_onnx
from tests.graph.small_nets import Net, evaluate, pictures, planes

Array = NDArray[Any]
F = TensorProto.FLOAT
RNG = np.random.default_rng(7)


def floats(*shape: int) -> Array:
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def graph_of(
    nodes: Sequence[Node],
    constants: dict[str, Any],
    output: tuple[int, ...],
    size: tuple[int, int, int, int] = (1, 3, 7, 7),
) -> Graph:
    """Nodes from `x` (of `size`) to `y` (of shape `output`)."""
    arrays = {name: np.asarray(values) for name, values in constants.items()}
    graph = Graph(deepcopy(list(nodes)), arrays, [Value("x", F, size)], [Value("y", F, output)])
    graph.infer_shapes()
    return graph


def assert_same_function(graph: Graph) -> Graph:
    """The canonical form, which gives what the graph gave."""
    images = pictures(RNG, 4 * graph.inputs[0].shape[0], *graph.inputs[0].shape[2:])
    before = evaluate(graph, planes(images))
    made = canonical(graph)
    checker.check_model(to_onnx(made), full_check=True)
    np.testing.assert_allclose(evaluate(made, images), before, rtol=0, atol=1e-5 * np.abs(before).max())
    return made


def ops(graph: Graph) -> list[str]:
    """Without the image's two nodes in front."""
    assert [node.op for node in graph.nodes[:2]] == ["DequantizeLinear", "Transpose"]
    return [node.op for node in graph.nodes[2:]]


def one(graph: Graph, op: str) -> Node:
    (node,) = graph.each(op)
    return node


FLAT = Node("Flatten", "flat", ["h"], ["y"])
PADS = {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1], np.int64)}
"""Top 1, left 2, bottom 0, right 1."""


# --- passes -----------------------------------------------------------------------------------------------------------


def test_what_does_nothing_vanishes() -> None:
    nodes = [
        Node("Identity", "i", ["x"], ["a"]),
        Node("Dropout", "d", ["a"], ["b"]),
        Node("Cast", "c", ["wide"], ["w"], {"to": F}),
        Node("Conv", "conv", ["b", "w"], ["h"]),
        FLAT,
    ]
    made = assert_same_function(graph_of(nodes, {"wide": floats(2, 3, 1, 1).astype(np.float64)}, (1, 98)))
    assert ops(made) == ["Conv", "Flatten"]


def test_a_constant_node_becomes_a_constant() -> None:
    from onnx import numpy_helper

    weight = numpy_helper.from_array(floats(2, 3, 3, 3))
    nodes = [Node("Constant", "k", [], ["w"], {"value": weight}), Node("Conv", "conv", ["x", "w"], ["h"]), FLAT]
    assert ops(assert_same_function(graph_of(nodes, {}, (1, 50)))) == ["Conv", "Flatten"]


@pytest.mark.parametrize("own", [None, [0, 1, 2, 0]])
def test_padding_goes_into_the_convolution(own: list[int] | None) -> None:
    attributes = {} if own is None else {"pads": own}
    nodes = [Node("Pad", "pad", ["x", "p"], ["a"]), Node("Conv", "conv", ["a", "w"], ["h"], attributes), FLAT]
    shape = (1, 2 * 6 * 8) if own is None else (1, 2 * 8 * 9)
    made = assert_same_function(graph_of(nodes, {**PADS, "w": floats(2, 3, 3, 3)}, shape))
    assert ops(made) == ["Conv", "Flatten"]
    assert one(made, "Conv").attributes["pads"] == ([1, 2, 0, 1] if own is None else [1, 3, 2, 1])


def test_padding_with_minus_infinity_goes_into_the_max_pool() -> None:
    pool = Node("MaxPool", "pool", ["a"], ["h"], {"kernel_shape": [3, 3], "strides": [2, 2]})
    constants = {**PADS, "v": np.array(-np.inf, np.float32)}
    made = assert_same_function(graph_of([Node("Pad", "pad", ["x", "p", "v"], ["a"]), pool, FLAT], constants, (1, 36)))
    assert one(made, "MaxPool").attributes["pads"] == [1, 2, 0, 1]


REFUSED_PADS = {
    "zeros before a max pool": ({}, {}, "MaxPool"),
    "ones before a convolution": ({"v": np.array(1.0, np.float32)}, {}, "Conv"),
    "channels": ({"p": np.array([0, 1, 0, 0, 0, 1, 0, 0], np.int64)}, {}, "Conv"),
    "cropping": ({"p": np.array([0, 0, -1, 0, 0, 0, 0, 0], np.int64)}, {}, "Conv"),
    "reflection": ({}, {"mode": "reflect"}, "Conv"),
    "before a relu": ({}, {}, "Relu"),
}


@pytest.mark.parametrize(("constants", "attributes", "follower"), REFUSED_PADS.values(), ids=REFUSED_PADS)
def test_other_padding_is_refused(constants: dict[str, Array], attributes: dict[str, Any], follower: str) -> None:
    inputs = ["x", "p", "v"] if "v" in constants else ["x", "p"]
    channels = 5 if constants.get("p", PADS["p"])[1] else 3
    after = {
        "MaxPool": Node("MaxPool", "f", ["a"], ["h"], {"kernel_shape": [1, 1]}),
        "Conv": Node("Conv", "f", ["a", "w"], ["h"]),
        "Relu": Node("Relu", "f", ["a"], ["h"]),
    }[follower]
    nodes = [Node("Pad", "n3", inputs, ["a"], attributes, scope="stem.pad"), after, FLAT]
    graph = Graph(
        nodes,
        {**PADS, "w": floats(3, channels, 1, 1), **constants},
        [Value("x", F, (1, 3, 7, 7))],
        [Value("y", F, (1, 1))],
    )
    with pytest.raises(UsageError, match=r"Pad in layer 'stem.pad': this padding has no canonical form"):
        canonical(graph)


@pytest.mark.parametrize("before", ["Conv", "Gemm"])
def test_batch_norm_is_folded(before: str) -> None:
    net = Net(RNG, 5, 5)
    if before == "Conv":
        net.flatten(net.batch_norm(net.conv("x", "conv", 4, (3, 3)), "norm"))
    else:
        net.batch_norm(net.dense(net.flatten("x"), "dense", 6), "norm")
    made = assert_same_function(net.graph())
    assert "BatchNormalization" not in ops(made)
    assert ops(made).count(before) == 1


def test_batch_norm_of_a_convolution_without_bias() -> None:
    net = Net(RNG, 5, 5)
    net.flatten(net.batch_norm(net.conv("x", "conv", 4), "norm"))
    graph = net.graph()
    graph.nodes[0].inputs.pop()
    assert ops(assert_same_function(graph)) == ["Conv", "Flatten"]


def test_batch_norm_is_not_folded_where_the_convolution_is_used_twice() -> None:
    net = Net(RNG, 5, 5)
    conv = net.conv("x", "conv", 4)
    net.flatten(net.add(net.batch_norm(conv, "norm"), conv, "sum"))
    made = assert_same_function(net.graph())
    assert ops(made) == ["Conv", "Conv", "Add", "Flatten"]
    assert [node.attributes["group"] for node in made.each("Conv")] == [1, 4]


def test_batch_norm_alone_becomes_a_depthwise_convolution() -> None:
    net = Net(RNG, 5, 5)
    net.flatten(net.batch_norm(net.max_pool("x", "pool", (2, 2)), "norm"))
    conv = one(assert_same_function(net.graph()), "Conv")
    assert (conv.attributes["group"], conv.attributes["kernel_shape"]) == (3, [1, 1])


def test_batch_norm_of_features_alone_is_refused() -> None:
    net = Net(RNG, 3, 3)
    net.batch_norm(net.flatten("x"), "norm")
    with pytest.raises(UsageError, match=r"BatchNormalization in layer 'norm': .* must follow a dense layer"):
        net.canonical()


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(("kernel", "stride", "pads"), [(2, 2, 0), (3, 2, 1), (3, 3, 0), (2, 3, 0), (5, 4, 2)])
def test_ceil_mode_becomes_margins(op: str, kernel: int, stride: int, pads: int) -> None:
    """Against torch: the evaluator's own ceil_mode is not beyond doubt."""
    import torch
    from torch.nn import functional

    size = 8
    images = pictures(RNG, 3, size, size)
    function = functional.max_pool2d if op == "MaxPool" else functional.avg_pool2d
    more = {} if op == "MaxPool" else {"count_include_pad": False}
    expected = (
        function(torch.from_numpy(planes(images)), kernel, stride, pads, ceil_mode=True, **more).flatten(1).numpy()
    )
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pads] * 4, "ceil_mode": 1}
    graph = graph_of([Node(op, "pool", ["x"], ["h"], attributes), FLAT], {}, (1, expected.shape[1]), (1, 3, size, size))
    made = canonical(graph)
    assert "ceil_mode" not in one(made, op).attributes
    np.testing.assert_allclose(evaluate(made, images), expected, rtol=0, atol=1e-6)


def test_every_convolution_says_everything() -> None:
    made = assert_same_function(
        graph_of([Node("Conv", "c", ["x", "w"], ["h"]), FLAT], {"w": floats(2, 3, 3, 1)}, (1, 70))
    )
    conv = one(made, "Conv")
    assert conv.attributes == {
        "kernel_shape": [3, 1],
        "strides": [1, 1],
        "pads": [0, 0, 0, 0],
        "dilations": [1, 1],
        "group": 1,
    }
    assert not made.constants[conv.inputs[2]].any()


DENSE = {
    "MatMul": [Node("MatMul", "m", ["a", "w"], ["y"])],
    "MatMul + bias": [Node("MatMul", "m", ["a", "w"], ["h"]), Node("Add", "b", ["h", "bias"], ["y"])],
    "bias + MatMul": [Node("MatMul", "m", ["a", "w"], ["h"]), Node("Add", "b", ["bias", "h"], ["y"])],
    "Gemm": [Node("Gemm", "m", ["a", "w", "bias"], ["y"])],
    "Gemm of W.T": [Node("Gemm", "m", ["a", "wt", "bias"], ["y"], {"transB": 1})],
    "Gemm without bias": [Node("Gemm", "m", ["a", "w"], ["y"])],
}


@pytest.mark.parametrize("nodes", DENSE.values(), ids=DENSE)
def test_every_dense_layer_becomes_a_gemm(nodes: list[Node]) -> None:
    weights = floats(12, 5)
    constants = {"w": weights, "wt": np.ascontiguousarray(weights.T), "bias": floats(5)}
    flat = Node("Flatten", "flat", ["x"], ["a"])
    made = assert_same_function(graph_of([flat, *nodes], constants, (1, 5), (1, 3, 2, 2)))
    assert ops(made) == ["Flatten", "Gemm"]
    gemm = one(made, "Gemm")
    assert gemm.attributes == {"transB": 1}
    assert made.constants[gemm.inputs[1]].shape == (5, 12)


POOLS = {
    "ReduceMean of axes 2, 3": Node("ReduceMean", "g", ["x", "axes"], ["y"], {"keepdims": 0}),
    "ReduceMean of axes -1, -2": Node("ReduceMean", "g", ["x", "back"], ["y"], {"keepdims": 0}),
    "ReduceMax": Node("ReduceMax", "g", ["x", "axes"], ["y"], {"keepdims": 0}),
    "ReduceMean, keepdims": Node("ReduceMean", "g", ["x", "axes"], ["h"], {"keepdims": 1}),
    "GlobalAveragePool": Node("GlobalAveragePool", "g", ["x"], ["h"]),
    "GlobalMaxPool": Node("GlobalMaxPool", "g", ["x"], ["h"]),
}


@pytest.mark.parametrize("node", POOLS.values(), ids=POOLS)
def test_global_pools_have_one_form(node: Node) -> None:
    axes = {"axes": np.array([2, 3], np.int64), "back": np.array([-1, -2], np.int64)}
    nodes = [node] if node.output == "y" else [node, FLAT]
    made = assert_same_function(graph_of(nodes, axes, (1, 3)))
    assert ops(made) == ["GlobalAveragePool" if "Mean" in node.op or "Average" in node.op else "ReduceMax", "Flatten"]


@pytest.mark.parametrize("shape", [[1, -1], [1, 147], [0, -1]])
def test_a_reshape_that_flattens_is_a_flatten(shape: list[int]) -> None:
    nodes = [Node("Relu", "r", ["x"], ["h"]), Node("Reshape", "s", ["h", "to"], ["y"])]
    made = assert_same_function(graph_of(nodes, {"to": np.array(shape, np.int64)}, (1, 147)))
    assert ops(made) == ["Relu", "Flatten"]


def test_a_squeeze_behind_a_global_pool_is_a_flatten() -> None:
    nodes = [Node("GlobalAveragePool", "g", ["x"], ["h"]), Node("Squeeze", "s", ["h", "axes"], ["y"])]
    made = assert_same_function(graph_of(nodes, {"axes": np.array([2, 3], np.int64)}, (1, 3)))
    assert ops(made) == ["GlobalAveragePool", "Flatten"]


def test_a_reshape_that_changes_nothing_vanishes() -> None:
    nodes = [Node("Reshape", "s", ["x", "to"], ["h"]), FLAT]
    made = assert_same_function(graph_of(nodes, {"to": np.array([1, 3, 7, 7], np.int64)}, (1, 147)))
    assert ops(made) == ["Flatten"]


def clip(low: float | None, high: float | None) -> Graph:
    constants = {"w": floats(4, 3, 1, 1) * 20} | {
        name: np.array(value, np.float32) for name, value in (("low", low), ("high", high)) if value is not None
    }
    inputs = ["a", "low" if low is not None else "", *(["high"] if high is not None else [])]
    nodes = [Node("Conv", "c", ["x", "w"], ["a"]), Node("Clip", "act", inputs, ["h"], scope="stem.act"), FLAT]
    return graph_of(nodes, constants, (1, 196))


def test_clip_is_relu6_or_relu() -> None:
    assert ops(assert_same_function(clip(0.0, 6.0))) == ["Conv", "Clip", "Flatten"]
    assert ops(assert_same_function(clip(0.0, None))) == ["Conv", "Relu", "Flatten"]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (None, 6.0), (0.5, 6.0)])
def test_other_clips_are_refused(low: float | None, high: float | None) -> None:
    with pytest.raises(UsageError, match=r"Clip in layer 'stem.act': only relu and relu6 .* not \[.*\]"):
        canonical(clip(low, high))


def test_a_clip_without_bounds_between_ints_is_refused() -> None:
    with pytest.raises(UsageError, match="Clip in layer"):
        canonical(clip(None, None))


# --- refusals ---------------------------------------------------------------------------------------------------------

W = {"w": floats(3, 3, 1, 1), "v": floats(147, 2)}
COUNTED_CEIL = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1, "pads": [1] * 4}
REFUSED = {
    "weights that are computed": (
        [Node("Relu", "r", ["w"], ["k"]), Node("Conv", "c", ["x", "k"], ["h"], scope="stem"), FLAT],
        "Conv in layer 'stem': only 2-D convolutions with fixed weights",
    ),
    "auto_pad": (
        [Node("Conv", "c", ["x", "w"], ["h"], {"auto_pad": "SAME_UPPER"}, "stem"), FLAT],
        "Conv in layer 'stem': auto_pad is not supported",
    ),
    "auto_pad of a pool": (
        [Node("MaxPool", "c", ["x"], ["h"], {"kernel_shape": [2, 2], "auto_pad": "VALID"}, "pool"), FLAT],
        "MaxPool in layer 'pool': auto_pad",
    ),
    "a dilated pool": (
        [Node("MaxPool", "c", ["x"], ["h"], {"kernel_shape": [2, 2], "dilations": [2, 2]}, "pool"), FLAT],
        "MaxPool in layer 'pool': only plain 2-D pooling",
    ),
    "a counted ceil_mode": (
        [Node("AveragePool", "c", ["x"], ["h"], COUNTED_CEIL, "pool"), FLAT],
        "AveragePool in layer 'pool': ceil_mode with count_include_pad",
    ),
    "a scaled Gemm": (
        [Node("Flatten", "f", ["x"], ["a"]), Node("Gemm", "g", ["a", "v"], ["y"], {"alpha": 2.0}, "head")],
        "Gemm in layer 'head': only x @ W",
    ),
    "a mean over channels": (
        [Node("ReduceMean", "g", ["x", "channels"], ["h"], {"keepdims": 1}, "mean"), FLAT],
        "ReduceMean in layer 'mean': only means and maxima over rows and columns",
    ),
    "a reshape to another picture": (
        [Node("Reshape", "s", ["x", "to"], ["h"], {}, "shuffle"), FLAT],
        r"Reshape in layer 'shuffle': reshaping \[1, 3, 7, 7\] to \[1, 21, 7, 1\]",
    ),
}


@pytest.mark.parametrize(("nodes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_canonical_form_names_the_layer(nodes: list[Node], said: str) -> None:
    constants = {**W, "channels": np.array([1], np.int64), "to": np.array([1, 21, 7, 1], np.int64)}
    graph = Graph(deepcopy(nodes), constants, [Value("x", F, (1, 3, 7, 7))], [Value("y", F, (1, 2))])
    graph.shapes = {"x": (1, 3, 7, 7), "a": (1, 147), "h": (1, 21, 7, 1)}
    with pytest.raises(UsageError, match=said):
        canonical(graph)


def test_the_ends_are_checked() -> None:
    flat = [Node("Flatten", "f", ["x"], ["y"])]
    features = Graph(flat, {}, [Value("x", F, (1, 9))], [Value("y", F, (1, 9))])
    with pytest.raises(UsageError, match="must take one float picture"):
        canonical(features)
    picture = Graph([Node("Relu", "r", ["x"], ["y"])], {}, [Value("x", F, (1, 3, 4, 4))], [Value("y", F, (1, 3, 4, 4))])
    with pytest.raises(UsageError, match="must give one set of logits"):
        canonical(picture)


# --- names, order, planted faults -------------------------------------------------------------------------------------


def test_nodes_and_outputs_are_named_after_layers() -> None:
    net = Net(RNG, 6, 6)
    net.dense(net.flatten(net.relu6(net.conv("x", "stem", 4, (3, 3)), "act")), "classifier", 3)
    graph = net.graph()
    for node, scope in zip(graph.nodes, ["stem.conv", "stem.act", "", "classifier.dense"], strict=True):
        node.scope = scope
    made = canonical(graph)
    assert [node.name for node in made.nodes] == ["pixels", "planes", "stem", "stem/relu6", "flatten", "classifier"]
    assert [value.name for value in (*made.inputs, *made.outputs)] == ["image", "logits"]
    assert made.inputs[0].shape == (1, 6, 6, 3)
    assert made.inputs[0].dtype == TensorProto.UINT8
    assert {"stem.weight", "stem.bias", "classifier.weight", "classifier.bias"} <= set(made.constants)


def test_two_nodes_of_one_layer_get_two_names() -> None:
    net = Net(RNG, 6, 6)
    net.flatten(net.conv(net.conv("x", "a", 4), "b", 4))
    graph = net.graph()
    for node in graph.nodes[:2]:
        node.scope = "twice"
    assert [node.name for node in canonical(graph).each("Conv")] == ["twice", "twice_2"]


def test_the_same_net_gives_the_same_bytes() -> None:
    def content() -> bytes:
        net = Net(np.random.default_rng(3), 6, 6)
        net.flatten(net.relu6(net.batch_norm(net.conv("x", "stem", 4, (3, 3)), "norm"), "act"))
        return to_onnx(net.canonical()).SerializeToString(deterministic=True)

    assert content() == content()


@pytest.mark.parametrize("broken", ["fold_pad", "fold_batch_norm", "complete_pool"])
def test_a_pass_that_does_something_else_is_seen(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: a pass shifts what it touches; `assert_same_function` must turn red."""
    from edgecnn.graph import canonical as module

    def shift(graph: Graph) -> None:
        next(step for step in STEPS if step.__name__ == broken)(graph)
        for node in graph.each("Conv"):
            graph.constants[node.inputs[1]] = graph.constants[node.inputs[1]] * np.float32(1.001)

    monkeypatch.setattr(module, "STEPS", tuple(shift if step.__name__ == broken else step for step in STEPS))
    nodes = [Node("Pad", "pad", ["x", "p"], ["a"]), Node("Conv", "conv", ["a", "w"], ["h"]), FLAT]
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_function(graph_of(nodes, {**PADS, "w": floats(2, 3, 3, 3)}, (1, 96)))


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (4, 3)])
@pytest.mark.parametrize("places", ["asymmetric", "half_pixel"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_resizing_by_nearest_is_refused_or_means_the_same(factors: tuple[int, int], places: str, rounding: str) -> None:
    """By ONNX's own evaluator the usual spellings repeat pixels, whatever the factor; half-pixel's floor does not."""
    net = Net(np.random.default_rng(0), 3, 4)
    net.flatten(net.resize("x", "larger", factors, "nearest"))
    node = next(node for node in net.nodes if node.op == "Resize")
    node.attributes |= {"coordinate_transformation_mode": places, "nearest_mode": rounding}
    images = pictures(net.rng, 2, 3, 4)
    usual = rounding == "floor" if places == "asymmetric" else rounding.startswith("round_")
    if not usual:
        with pytest.raises(UsageError, match="aligns pixels this way"):
            net.canonical()
        return
    found = np.concatenate([evaluate(net.graph(), planes(image[None])) for image in images])
    np.testing.assert_array_equal(evaluate(net.canonical(), images), found)
    np.testing.assert_allclose(net.torch(images), found)
