"""A classifier's map form: which class it sees where, from the same weights.

A network that ends in a mean over positions and a dense layer says the same when the dense layer comes first, as a 1x1
convolution, and the mean after: both are linear. Left without the mean, there are logits for each position.

Source: Zhou et al., Learning Deep Features for Discriminative Localization, arXiv:1512.04150 (class activation maps).
"""

from __future__ import annotations

import onnx
from onnx import TensorProto
from onnx.shape_inference import InferenceError as ShapeError

from edgecnn.errors import UsageError
from edgecnn.geometry import Pair
from edgecnn.graph.canonical import LOGITS
from edgecnn.graph.edit import Graph, Node, Shape, Value, from_onnx, to_onnx
from edgecnn.graph.program import Op, Program, read_program

POINTWISE = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "group": 1}
_TAIL = ("GlobalAveragePool", "Flatten", "Gemm")


def class_map(graph: Graph) -> Graph:
    """The map form of a canonical fp32 classifier, whose output is float32 [N, K, h, w]; a copy.

    The mean over h and w is the classifier's logits, also where that ends in a softmax. UsageError where the network
    does not end in a global average pool and one dense layer.
    """
    edited = from_onnx(to_onnx(graph))
    pool, dense = tail(read_program(edited))
    node = put_first(edited, pool, dense)
    weights = edited.constants[node.inputs[1]]
    edited.constants[node.inputs[1]] = weights[:, :, None, None]
    return finished(edited, node, TensorProto.FLOAT, (weights.shape[0], *pool.inputs[0].shape[2:]))


def at_size(made: Graph, size: Pair) -> Graph:
    """A map form, fp32 or QDQ, for pictures of another size (height, width): the same operations over more places.

    Every integer, scale and margin stays. UsageError where the network doesn't fit the size, or picks rows or columns
    by their numbers.
    """
    edited = from_onnx(to_onnx(made))
    (image,), (output,) = edited.inputs, edited.outputs
    edited.inputs = [Value(image.name, image.dtype, (image.shape[0], *size, image.shape[3]))]
    for node in edited.each("Gather"):
        raise UsageError(f"layer '{node.name}' picks rows and columns of one size: it has no map at another")
    try:
        for node in edited.each("Reshape"):
            _reshape_again(edited, node)
        shape = _shape_of(edited, output)
    except ShapeError as error:
        raise UsageError(f"the network does not fit pictures of {size[0]}x{size[1]}") from error
    edited.outputs = [Value(output.name, output.dtype, shape)]
    edited.infer_shapes()
    if min(shape) < 1:
        raise UsageError(f"the network does not fit pictures of {size[0]}x{size[1]}")
    return from_onnx(to_onnx(edited))


def _reshape_again(graph: Graph, node: Node) -> None:
    """Give a shuffle of channels the rows and columns that reach it."""
    given = _shape_of(graph, Value(node.inputs[0], TensorProto.FLOAT, ()))
    wanted = graph.constants[node.inputs[1]].copy()
    wanted[-2:] = given[-2:]
    node.inputs = [node.inputs[0], graph.constant(f"{node.name}.shape", wanted)]


def _shape_of(graph: Graph, value: Value) -> Shape:
    """The shape of a value, worked out anew from the graph's inputs."""
    part = graph.between(graph.inputs, [Value(value.name, value.dtype, graph.shapes.get(value.name, value.shape))])
    bare = to_onnx(part)
    bare.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)
    return tuple(size.dim_value for size in inferred.graph.output[0].type.tensor_type.shape.dim)


def tail(program: Program) -> tuple[Op, Op]:
    """The pool and the dense layer that a network, fp32 or QDQ, ends in; UsageError where it ends otherwise."""
    made = {op.output.value: op for op in program.ops}
    last: Op | None = made[program.output.value]
    if last is not None and last.type == "Softmax":
        last = made.get(last.inputs[0].value)
    found: list[Op] = []
    while last is not None and len(found) < len(_TAIL):
        found.insert(0, last)
        last = made.get(last.inputs[0].value)
    if tuple(op.type for op in found) != _TAIL or found[-1].activation is not None:
        ends = " -> ".join(op.type + (f" with {op.activation}" if op.activation else "") for op in found)
        raise UsageError(
            f"a heat map is made of networks that end in a global average pool and one dense layer; this one ends in "
            f"{ends}"
        )
    return found[0], found[-1]


def put_first(graph: Graph, pool: Op, dense: Op) -> Node:
    """Let the dense layer take what the pool took, as a convolution; its weights are the caller's to bring to 4-D."""
    taken = next(node for node in graph.nodes if node.name == pool.name).inputs[0]
    node = next(node for node in graph.nodes if node.name == dense.name)
    node.op, node.attributes = "Conv", dict(POINTWISE)
    node.inputs = [taken, *node.inputs[1:]]
    return node


def finished(graph: Graph, last: Node, dtype: int, shape: Shape) -> Graph:
    """The graph with the output of `last` as its own, under the name that outputs have; its `shape` is (K, h, w)."""
    graph.nodes = [node for node in graph.nodes if node is last or LOGITS not in node.outputs]
    last.outputs = [LOGITS]
    graph.outputs = [Value(LOGITS, dtype, (graph.inputs[0].shape[0], *shape))]
    graph.prune()
    graph.infer_shapes()
    onnx.checker.check_model(to_onnx(graph), full_check=True)
    return from_onnx(to_onnx(graph))
