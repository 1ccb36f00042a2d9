"""TensorRT's rules: the symmetric graph keeps them, the asymmetric one doesn't, and every planted fault is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from edgecnn.graph.edit import Graph, Node, to_onnx
from edgecnn.quantize import broken_rules, quantize
from tests.graph.small_nets import Net, pictures

IMAGES = pictures(np.random.default_rng(1), 24, 6, 6)


def net() -> Net:
    made = Net(np.random.default_rng(2), 6, 6)
    stem = made.relu6(made.conv("x", "stem", 4, (3, 3), gain=6.0), "act")
    total = made.add(made.conv(stem, "inside", 4), stem, "sum")
    made.dense(made.flatten(made.max_pool(total, "pool", (2, 2), (2, 2)), "flat"), "classifier", 5)
    return made


def symmetric() -> Graph:
    return quantize(net().canonical(), IMAGES, activations="symmetric")


def named(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)


def test_a_symmetric_graph_keeps_them() -> None:
    graph = symmetric()
    assert broken_rules(graph) == ()
    model = to_onnx(graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def test_an_asymmetric_graph_breaks_them() -> None:
    said = " ".join(broken_rules(quantize(net().canonical(), IMAGES)))
    for part in ("'pixels' works with uint8", "the bias of 'stem' is not a float32", "'image' is not float"):
        assert part in said


def zero_point(graph: Graph) -> None:
    graph.constants["inside.zero_point"] = np.array(3, np.int8)


def unsigned_activation(graph: Graph) -> None:
    graph.constants["inside.zero_point"] = np.array(0, np.uint8)


def no_zero_point(graph: Graph) -> None:
    named(graph, "inside.q").inputs.pop()


def several_scales(graph: Graph) -> None:
    graph.constants["inside.scale"] = np.full(4, graph.constants["inside.scale"])


def scale_of_nothing(graph: Graph) -> None:
    graph.constants["inside.scale"] = np.array(0.0, np.float32)


def integers_straight_on(graph: Graph) -> None:
    named(graph, "pool").inputs = ["sum/add.q"]


def one_weight_scale(graph: Graph) -> None:
    graph.constants["stem.weight.scale"] = graph.constants["stem.weight.scale"].max()


def other_axis(graph: Graph) -> None:
    named(graph, "inside.weight.dq").attributes["axis"] = 1


def float_weights(graph: Graph) -> None:
    graph.constants["loose"] = np.zeros((4, 3, 3, 3), np.float32)
    named(graph, "stem").inputs[1] = "loose"


def lowest_weight(graph: Graph) -> None:
    graph.constants["stem.weight.q"] = graph.constants["stem.weight.q"].copy()
    graph.constants["stem.weight.q"][0, 0, 0, 0] = -128


def whole_bias(graph: Graph) -> None:
    graph.constants["bias"] = np.zeros(4, np.int32)
    inputs = ["bias", "stem.weight.scale", "bias"]
    graph.insert_after(None, Node("DequantizeLinear", "bias.dq", inputs, ["bias.dq"], {"axis": 0}))
    named(graph, "stem").inputs[2] = "bias.dq"


def float_in_a_convolution(graph: Graph) -> None:
    named(graph, "inside").inputs[0] = "act/relu6"


def float_in_a_sum(graph: Graph) -> None:
    named(graph, "sum/add").inputs[1] = "act/relu6"


def rounding_before_an_activation(graph: Graph) -> None:
    stem = named(graph, "stem")
    grid = ["stem.scale", "stem.zero_point"]
    graph.insert_after(
        stem,
        Node("QuantizeLinear", "early.q", [stem.output, *grid], ["early.q"]),
        Node("DequantizeLinear", "early.dq", ["early.q", *grid], ["early.dq"]),
    )
    named(graph, "act/relu6").inputs[0] = "early.dq"


def unsigned_image(graph: Graph) -> None:
    named(graph, "image.float").op = "DequantizeLinear"
    graph.constants["one"], graph.constants["zero"] = np.array(1.0, np.float32), np.array(0, np.uint8)
    named(graph, "image.float").inputs += ["one", "zero"]


def rounded_output(graph: Graph) -> None:
    last = next(node for node in graph.nodes if node.output == "logits")
    last.op, last.inputs = "QuantizeLinear", [last.inputs[0], "image.scale", "image.signed_zero_point"]


PLANTED: list[tuple[Callable[[Graph], None], str]] = [
    (zero_point, "'inside.q' has zero point 3; TensorRT takes 0 only"),
    (unsigned_activation, "'inside.q' works with uint8; TensorRT takes int8"),
    (no_zero_point, "'inside.q' has no constant zero point, which makes it uint8; TensorRT takes int8"),
    (several_scales, "'inside.q' has 4 scales; TensorRT takes one for an activation"),
    (scale_of_nothing, "'inside.q' has a scale that is not a constant above 0"),
    (integers_straight_on, "'sum/add.q' is not followed by a DequantizeLinear alone"),
    (one_weight_scale, "the weights of 'stem' have one scale, not one for each output channel"),
    (other_axis, "the weights of 'inside' have 4 scales along another axis than the output channels'"),
    (float_weights, "the weights of 'stem' are not int8 constants behind a DequantizeLinear"),
    (lowest_weight, "the weights of 'stem' reach below -127"),
    (whole_bias, "the bias of 'stem' is not a float32 constant"),
    (float_in_a_convolution, "'act/relu6', which 'inside' (Conv) takes, is not quantized"),
    (float_in_a_sum, "'act/relu6', which 'sum/add' (Add) takes, is not quantized"),
    (rounding_before_an_activation, "'stem' is rounded before its activation 'act/relu6'"),
    (unsigned_image, "the input 'image' is not float, and 'image.float' (DequantizeLinear) takes it without a Cast"),
    (rounded_output, "the output 'logits' is not float, and is not made by a Cast"),
]


@pytest.mark.parametrize(("plant", "sentence"), PLANTED, ids=lambda given: getattr(given, "__name__", ""))
def test_a_planted_fault_is_named(plant: Callable[[Graph], None], sentence: str) -> None:
    graph = symmetric()
    plant(graph)
    assert sentence in broken_rules(graph)
