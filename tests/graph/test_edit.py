"""Graph's edits: who takes what afterwards, and what is left."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecnn.errors import UnusableFile
from edgecnn.graph.edit import Graph, Node, Value, from_onnx, to_onnx

F = TensorProto.FLOAT


def chain() -> Graph:
    """x -> a -> b -> y, with a side branch c that nobody takes and two constants."""
    nodes = [
        Node("Relu", "first", ["x"], ["a"]),
        Node("Add", "second", ["a", "k"], ["b"]),
        Node("Relu", "side", ["a"], ["c"]),
        Node("Sigmoid", "last", ["b"], ["y"]),
    ]
    constants = {"k": np.float32([1, 2]), "unused": np.float32([3])}
    return Graph(nodes, constants, [Value("x", F, (1, 2))], [Value("y", F, (1, 2))])


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def test_producer_and_consumers() -> None:
    graph = chain()
    producer = graph.producer("a")
    assert producer is not None
    assert producer.name == "first"
    assert graph.producer("x") is None
    assert graph.producer("k") is None
    assert [node.name for node in graph.consumers("a")] == ["second", "side"]


def test_only_consumer() -> None:
    graph = chain()
    assert graph.only_consumer("a", "Add", "Relu") is None, "two take it"
    found = graph.only_consumer("b", "Sigmoid")
    assert found is not None
    assert found.name == "last"
    assert graph.only_consumer("b", "Relu") is None, "another operation"
    graph.outputs.append(Value("b", F, (1, 2)))
    assert graph.only_consumer("b", "Sigmoid") is None, "the graph gives it out"


def test_bypass_in_the_middle() -> None:
    graph = chain()
    graph.bypass(graph.nodes[1])
    assert names(graph) == ["first", "side", "last"]
    assert graph.nodes[-1].inputs == ["a"]


def test_bypass_at_the_end_keeps_the_output_s_name() -> None:
    graph = chain()
    graph.bypass(graph.nodes[-1])
    assert [value.name for value in graph.outputs] == ["y"]
    producer = graph.producer("y")
    assert producer is not None
    assert producer.name == "second"


def test_bypass_of_all_between_input_and_output() -> None:
    graph = Graph([Node("Identity", "i", ["x"], ["y"])], {}, [Value("x", F, (1, 2))], [Value("y", F, (1, 2))])
    graph.bypass(graph.nodes[0])
    assert [value.name for value in graph.outputs] == ["x"]


def test_redirect_to_a_value_that_others_take_too() -> None:
    """`a` becomes the output; the side branch that took `a` still does, under its new name."""
    graph = chain()
    graph.nodes = [graph.nodes[0], graph.nodes[2], Node("Identity", "out", ["a"], ["y"])]
    graph.bypass(graph.nodes[-1])
    assert graph.nodes[0].outputs == ["y"]
    assert graph.nodes[1].inputs == ["y"]


def test_prune_keeps_what_the_output_needs() -> None:
    graph = chain()
    graph.prune()
    assert names(graph) == ["first", "second", "last"]
    assert set(graph.constants) == {"k"}


def test_constant_finds_a_free_name() -> None:
    graph = chain()
    assert graph.constant("k", np.float32([0])) == "k_2"
    assert graph.constant("k", np.float32([0])) == "k_3"
    assert graph.constants["k"].tolist() == [1, 2]


def test_insert_after() -> None:
    graph = chain()
    graph.insert_after(None, Node("Neg", "zeroth", ["x"], ["n"]))
    graph.insert_after(graph.nodes[1], Node("Neg", "next", ["a"], ["m"]), Node("Neg", "overnext", ["m"], ["o"]))
    assert names(graph) == ["zeroth", "first", "next", "overnext", "second", "side", "last"]


def test_between_two_values() -> None:
    graph = chain()
    part = graph.between([Value("a", F, (1, 2))], [Value("b", F, (1, 2))])
    assert names(part) == ["second"]
    assert set(part.constants) == {"k"}
    onnx.checker.check_model(to_onnx(part), full_check=True)


def test_between_says_what_is_missing() -> None:
    graph = chain()
    with pytest.raises(UnusableFile, match="the graph has no value 'nowhere'"):
        graph.between([graph.inputs[0]], [Value("nowhere", F, (1, 2))])
    with pytest.raises(UnusableFile, match="the graph has no value 'x'"):
        graph.between([Value("b", F, (1, 2))], [Value("c", F, (1, 2))])


def test_value_knows_types_and_shapes() -> None:
    graph = chain()
    graph.insert_after(graph.nodes[0], Node("QuantizeLinear", "q", ["a", "s", "z"], ["aq"]))
    graph.constants |= {"s": np.array(0.5, np.float32), "z": np.array(3, np.uint8)}
    graph.infer_shapes()
    assert graph.value("a") == Value("a", F, (1, 2))
    assert graph.value("aq") == Value("aq", TensorProto.UINT8, (1, 2))
    assert graph.value("y") == graph.outputs[0]
    with pytest.raises(UnusableFile, match="no value 'k'"):
        graph.value("k")


def test_there_and_back() -> None:
    graph = chain()
    back = from_onnx(to_onnx(graph))
    assert back.nodes == graph.nodes
    assert (back.inputs, back.outputs) == (graph.inputs, graph.outputs)
    assert {name: values.tolist() for name, values in back.constants.items()} == {"k": [1, 2], "unused": [3]}
    assert to_onnx(back).SerializeToString() == to_onnx(graph).SerializeToString()


def model(shape: list[int | str], weight: TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    ends = [helper.make_tensor_value_info(name, F, shape) for name in "xy"]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_what_can_not_be_deployed_is_an_unusable_file() -> None:
    weight = numpy_helper.from_array(np.float32([1, 2]), "w")
    with pytest.raises(UnusableFile, match="'x' has a size that is only known at run time"):
        from_onnx(model(["batch", 2], weight))
    weight.data_location = TensorProto.EXTERNAL
    with pytest.raises(UnusableFile, match="weights in another file"):
        from_onnx(model([1, 2], weight))


def test_the_scope_is_the_innermost_module() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'stem', 'stem.act', 'relu']")
    ends = [helper.make_tensor_value_info(name, F, [1, 2]) for name in "xy"]
    made = helper.make_model(
        helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    assert from_onnx(made).nodes[0].scope == "stem.act"
