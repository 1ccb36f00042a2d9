"""A graph that can be edited: ONNX's nodes, constants and shapes in plain Python, and back.

Every graph edgecnn works on goes through here: canonical.py and quantize/ change one, program.py reads one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecnn.errors import UnusableFile

OPSET = 20
IR_VERSION = 10
Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass
class Node:
    """One operation: `attributes` are plain Python values."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    scope: str = ""
    """The torch module that the node was traced from, in dotted form; empty where unknown."""

    @property
    def output(self) -> str:
        """The first output's name."""
        return self.outputs[0]


@dataclass(frozen=True)
class Value:
    """A graph's input or output: ONNX element type and static shape."""

    name: str
    dtype: int
    shape: Shape


@dataclass
class Graph:
    """Nodes in topological order, constants by name, and the shape of every value where it is known."""

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: list[Value]
    outputs: list[Value]
    shapes: dict[str, Shape] = field(default_factory=dict)
    dtypes: dict[str, int] = field(default_factory=dict)
    """ONNX element types, where shapes were inferred; float32 where nothing is said."""

    def producer(self, name: str) -> Node | None:
        """The node that makes a value, or None for inputs and constants."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> list[Node]:
        """The nodes that take a value, in order."""
        return [node for node in self.nodes if name in node.inputs]

    def only_consumer(self, name: str, *ops: str) -> Node | None:
        """The single node that takes a value, if it is one of `ops` and the value is no output of the graph."""
        if any(output.name == name for output in self.outputs):
            return None
        consumers = self.consumers(name)
        return consumers[0] if len(consumers) == 1 and consumers[0].op in ops else None

    def value(self, name: str) -> Value:
        """A value with its type and shape: the zero point's behind QuantizeLinear, else float32; ends as declared."""
        declared = next((value for value in (*self.inputs, *self.outputs) if value.name == name), None)
        if declared is not None:
            return declared
        producer = self.producer(name)
        if producer is None:
            raise UnusableFile(f"the graph has no value '{name}'")
        if producer.op != "QuantizeLinear":
            return Value(name, self.dtypes.get(name, TensorProto.FLOAT), self.shapes[name])
        signed = self.constants[producer.inputs[2]].dtype == np.int8
        return Value(name, TensorProto.INT8 if signed else TensorProto.UINT8, self.shapes[name])

    def each(self, *ops: str) -> Iterator[Node]:
        """The nodes of some operations, as they stand when asked."""
        return (node for node in list(self.nodes) if node.op in ops)

    def bypass(self, node: Node) -> None:
        """Take a node out: whoever took its output takes its first input."""
        self.nodes.remove(node)
        self.redirect(node.output, node.inputs[0])

    def redirect(self, old: str, new: str) -> None:
        """Let everyone who takes value `old` take `new`; an output of the graph keeps its name."""
        if any(output.name == old for output in self.outputs):
            producer = self.producer(new)
            if producer is not None and not any(output.name == new for output in self.outputs):
                producer.outputs = [old if name == new else name for name in producer.outputs]
                for node in self.nodes:
                    node.inputs = [old if name == new else name for name in node.inputs]
                return
            self.outputs = [Value(new, v.dtype, v.shape) if v.name == old else v for v in self.outputs]
        for node in self.nodes:
            node.inputs = [new if name == old else name for name in node.inputs]

    def insert_after(self, node: Node | None, *new: Node) -> None:
        """Put nodes behind `node`, or first of all."""
        at = 0 if node is None else self.nodes.index(node) + 1
        self.nodes[at:at] = new

    def constant(self, name: str, values: Array) -> str:
        """Add a constant under `name`, or under that name with a number where it is taken; returns the name."""
        free, number = name, 1
        while free in self.constants:
            number += 1
            free = f"{name}_{number}"
        self.constants[free] = np.asarray(values)
        return free

    def prune(self) -> None:
        """Drop nodes and constants that nothing needs."""
        needed = {output.name for output in self.outputs}
        for node in reversed(self.nodes):
            if needed & set(node.outputs):
                needed.update(node.inputs)
        self.nodes = [node for node in self.nodes if needed & set(node.outputs)]
        self.constants = {name: values for name, values in self.constants.items() if name in needed}

    def between(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        """Only what makes `outputs` from `inputs`; UnusableFile where it needs anything else."""
        given, wanted = {value.name for value in inputs}, {value.name for value in outputs}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if (wanted - given) & set(node.outputs):
                kept.append(node)
                wanted.update(name for name in node.inputs if name)
        missing = wanted - given - set(self.constants) - {name for node in kept for name in node.outputs}
        if missing:
            raise UnusableFile(f"the graph has no value '{min(missing)}'")
        constants = {name: values for name, values in self.constants.items() if name in wanted}
        return Graph(kept[::-1], constants, list(inputs), list(outputs), self.shapes)

    def infer_shapes(self) -> None:
        """Fill `shapes` by ONNX's shape inference."""
        inferred = onnx.shape_inference.infer_shapes(to_onnx(self), strict_mode=True, data_prop=True)
        known = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
        self.shapes = {value.name: _shape(value) for value in known}
        self.dtypes = {value.name: value.type.tensor_type.elem_type for value in known}


def from_onnx(model: onnx.ModelProto) -> Graph:
    """An ONNX model as a Graph; UnusableFile for what can't be deployed: functions, dynamic sizes, external data."""
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise UnusableFile("the ONNX graph keeps its weights in another file; save it with the weights inside")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    inputs = [_value(value) for value in model.graph.input if value.name not in constants]
    nodes = [_node(node) for node in model.graph.node]
    graph = Graph(nodes, constants, inputs, [_value(value) for value in model.graph.output])
    graph.infer_shapes()
    return graph


def to_onnx(graph: Graph) -> onnx.ModelProto:
    """A Graph as an ONNX model of opset 20; the same graph gives the same bytes."""
    nodes = [
        helper.make_node(node.op, node.inputs, node.outputs, name=node.name, **dict(sorted(node.attributes.items())))
        for node in graph.nodes
    ]
    proto = helper.make_graph(
        nodes,
        "edgecnn",
        [helper.make_tensor_value_info(value.name, value.dtype, value.shape) for value in graph.inputs],
        [helper.make_tensor_value_info(value.name, value.dtype, value.shape) for value in graph.outputs],
        [numpy_helper.from_array(np.asarray(values, order="C"), name) for name, values in graph.constants.items()],
    )
    model = helper.make_model(proto, producer_name="edgecnn", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return model


def _node(node: onnx.NodeProto) -> Node:
    attributes = {a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute}
    scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "")
    return Node(node.op_type, node.name, list(node.input), list(node.output), attributes, _scope(scopes))


def _scope(scopes: str) -> str:
    """The innermost module of torch's list "['', 'stem', 'stem.norm', 'batch_norm']"; the last one is the operation."""
    names = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
    return names[-2] if len(names) > 1 else ""


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if not isinstance(value, str | int | float | TensorProto) else value


def _value(value: onnx.ValueInfoProto) -> Value:
    return Value(value.name, value.type.tensor_type.elem_type, _shape(value))


def _shape(value: onnx.ValueInfoProto) -> Shape:
    sizes = value.type.tensor_type.shape.dim
    if any(not size.HasField("dim_value") for size in sizes):
        raise UnusableFile(f"'{value.name}' has a size that is only known at run time; edgecnn needs fixed sizes")
    return tuple(size.dim_value for size in sizes)
