"""Any traced classifier -> the canonical fp32 graph: the few operations that quantize/ and formats/ know.

    image: uint8 [N, H, W, 3] -> DequantizeLinear(1/128, 128) -> Transpose -> the network -> logits: float32 [N, K]

Conv and Gemm always carry a bias, Gemm is x @ W.T + b; batch norm and padding are folded; margins are explicit; global
pools stand as GlobalAveragePool or ReduceMax, then Flatten; a node and its output are named after the layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto

from edgecnn.errors import UsageError
from edgecnn.graph.edit import Array, Graph, Node, Value, from_onnx, to_onnx

IMAGE, LOGITS = "image", "logits"
IMAGE_SCALE, IMAGE_ZERO = 1.0 / 128.0, 128
SPATIAL = [2, 3]


def canonical(graph: Graph, probabilities: bool = False) -> Graph:
    """The canonical form of a graph with one float input [N, C, H, W] and one output [N, K]; the graph is used up.

    Raises UsageError, naming operation and layer, for what has no canonical form.
    """
    _check_ends(graph)
    for step in STEPS:
        step(graph)
        graph.prune()
    if probabilities:
        _append_softmax(graph)
    _name_after_layers(graph)
    _put_image_in_front(graph)
    graph.infer_shapes()
    onnx.checker.check_model(to_onnx(graph), full_check=True)
    return from_onnx(to_onnx(graph))


def _check_ends(graph: Graph) -> None:
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4 or graph.inputs[0].dtype != TensorProto.FLOAT:
        raise UsageError("the model must take one float picture [N, C, H, W]")
    if len(graph.outputs) != 1 or len(graph.outputs[0].shape) != 2:
        raise UsageError("the model must give one set of logits [N, K]")


def drop_what_does_nothing(graph: Graph) -> None:
    """Constant nodes become constants; Identity, Dropout and casts of constants vanish."""
    for node in graph.each("Constant"):
        graph.constants[node.output] = onnx.numpy_helper.to_array(node.attributes["value"])
        graph.nodes.remove(node)
    for node in graph.each("Cast"):
        if node.inputs[0] in graph.constants:
            kind = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
            graph.constants[node.output] = graph.constants[node.inputs[0]].astype(kind)
            graph.nodes.remove(node)
    for node in graph.each("Identity", "Dropout"):
        graph.bypass(node)


def fold_pad(graph: Graph) -> None:
    """Zero padding before a convolution, or minus infinity before a max pool, becomes that node's own margins."""
    for pad in graph.each("Pad"):
        margins = graph.constants[pad.inputs[1]].tolist()
        value = float(graph.constants[pad.inputs[2]]) if len(pad.inputs) > 2 and pad.inputs[2] else 0.0
        expected = {"Conv": 0.0, "MaxPool": -np.inf}
        node = graph.only_consumer(pad.output, *expected)
        fits = len(margins) == 8 and not any(margins[i] for i in (0, 1, 4, 5)) and min(margins) >= 0
        if (
            node is None
            or not fits
            or value != expected[node.op]
            or pad.attributes.get("mode", "constant") != "constant"
        ):
            raise UsageError(f"{_where(pad)}: this padding has no canonical form; pad inside the layer that follows")
        own = node.attributes.get("pads", [0, 0, 0, 0])
        node.attributes["pads"] = [a + b for a, b in zip(own, [margins[i] for i in (2, 3, 6, 7)], strict=True)]
        graph.bypass(pad)


def fold_batch_norm(graph: Graph) -> None:
    """Batch norm goes into the convolution or dense layer before it, else becomes a 1x1 depthwise convolution.

    Source: Jacob et al., arXiv:1712.05877, section 3.2.
    """
    for norm in graph.each("BatchNormalization"):
        gain, offset, mean, variance = (graph.constants[name].astype(np.float64) for name in norm.inputs[1:5])
        factor = gain / np.sqrt(variance + norm.attributes.get("epsilon", 1e-5))
        shift = offset - mean * factor
        before = graph.producer(norm.inputs[0])
        if before is not None and before.op in ("Conv", "Gemm") and graph.only_consumer(before.output, norm.op) is norm:
            _scale_weights(graph, before, factor, shift)
            graph.bypass(norm)
        elif len(graph.shapes[norm.inputs[0]]) == 4:
            weights = graph.constant(f"{norm.name}.weight", factor.reshape(-1, 1, 1, 1).astype(np.float32))
            bias = graph.constant(f"{norm.name}.bias", shift.astype(np.float32))
            norm.op, norm.inputs = "Conv", [norm.inputs[0], weights, bias]
            norm.attributes = {"group": len(factor), "kernel_shape": [1, 1]}
        else:
            raise UsageError(f"{_where(norm)}: batch norm of features must follow a dense layer")


def _scale_weights(graph: Graph, node: Node, factor: Array, shift: Array) -> None:
    weights = graph.constants[node.inputs[1]].astype(np.float64)
    bias = graph.constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 else np.zeros(len(factor))
    scaled = weights * factor.reshape(-1, *[1] * (weights.ndim - 1))
    node.inputs = [
        node.inputs[0],
        graph.constant(f"{node.name}.weight", scaled.astype(np.float32)),
        graph.constant(f"{node.name}.bias", (bias * factor + shift).astype(np.float32)),
    ]


def complete_conv(graph: Graph) -> None:
    """Every convolution says its kernel, strides, margins, dilations and groups, and has a bias."""
    for node in graph.each("Conv"):
        _refuse_auto_pad(node)
        weights = graph.constants.get(node.inputs[1])
        if weights is None or weights.ndim != 4:
            raise UsageError(f"{_where(node)}: only 2-D convolutions with fixed weights are supported")
        given = node.attributes
        node.attributes = {
            "kernel_shape": list(weights.shape[2:]),
            "strides": given.get("strides", [1, 1]),
            "pads": given.get("pads", [0, 0, 0, 0]),
            "dilations": given.get("dilations", [1, 1]),
            "group": given.get("group", 1),
        }
        _add_bias(graph, node, weights.shape[0])


def complete_dense(graph: Graph) -> None:
    """MatMul, MatMul + Add and Gemm of any form become Gemm: x @ W.T + b."""
    for node in graph.each("MatMul"):
        weights = graph.constants.get(node.inputs[1])
        if weights is None or weights.ndim != 2 or len(graph.shapes[node.inputs[0]]) != 2:
            raise UsageError(f"{_where(node)}: only [N, F] @ fixed weights is supported")
        node.op, node.attributes = "Gemm", {"transB": 0}
        add = graph.only_consumer(node.output, "Add")
        bias = next((name for name in add.inputs if name in graph.constants), None) if add else None
        if add is not None and bias is not None and graph.constants[bias].ndim == 1:
            node.inputs.append(bias)
            node.outputs = list(add.outputs)
            graph.nodes.remove(add)
    for node in graph.each("Gemm"):
        weights, given = graph.constants.get(node.inputs[1]), node.attributes
        if weights is None or given.get("transA", 0) or given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
            raise UsageError(f"{_where(node)}: only x @ W + b with fixed weights is supported")
        if not given.get("transB", 0):
            weights = np.ascontiguousarray(weights.T)
            node.inputs[1] = graph.constant(f"{node.name}.weight", weights)
        node.attributes = {"transB": 1}
        _add_bias(graph, node, weights.shape[0])


def _add_bias(graph: Graph, node: Node, count: int) -> None:
    if len(node.inputs) < 3 or not node.inputs[2]:
        node.inputs = [*node.inputs[:2], graph.constant(f"{node.name}.bias", np.zeros(count, np.float32))]


def complete_pool(graph: Graph) -> None:
    """Every pool says its strides and margins; `ceil_mode` becomes margins at the end."""
    for node in graph.each("MaxPool", "AveragePool"):
        _refuse_auto_pad(node)
        given = node.attributes
        kernel = given["kernel_shape"]
        strides, pads = given.get("strides", [1, 1]), list(given.get("pads", [0, 0, 0, 0]))
        if given.get("dilations", [1, 1]) != [1, 1] or given.get("storage_order", 0) or len(kernel) != 2:
            raise UsageError(f"{_where(node)}: only plain 2-D pooling is supported")
        size, output = graph.shapes[node.inputs[0]][2:], graph.shapes[node.output][2:]
        if given.get("ceil_mode", 0):
            if given.get("count_include_pad", 0) and any(pads):
                raise UsageError(f"{_where(node)}: ceil_mode with count_include_pad has no canonical form")
            for axis in range(2):
                reach = (output[axis] - 1) * strides[axis] + kernel[axis]
                pads[axis + 2] = max(0, reach - size[axis] - pads[axis])
        node.attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        if node.op == "AveragePool":
            node.attributes["count_include_pad"] = int(bool(given.get("count_include_pad", 0)) and any(pads))


def _refuse_auto_pad(node: Node) -> None:
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", ""):
        raise UsageError(f"{_where(node)}: auto_pad is not supported; export with explicit pads")


def name_global_pools(graph: Graph) -> None:
    """A mean or maximum over rows and columns becomes GlobalAveragePool or ReduceMax, then Flatten."""
    for node in graph.each("ReduceMean", "ReduceMax", "GlobalAveragePool", "GlobalMaxPool"):
        source = node.inputs[0]
        if len(graph.shapes[source]) != 4:
            raise UsageError(f"{_where(node)}: only means and maxima over rows and columns are supported")
        if node.op.startswith("Reduce"):
            axes = graph.constants[node.inputs[1]].tolist() if len(node.inputs) > 1 else node.attributes.get("axes", [])
            if sorted(axis % 4 for axis in axes) != SPATIAL:
                raise UsageError(f"{_where(node)}: only means and maxima over rows and columns are supported")
        flat = node.op.startswith("Reduce") and not node.attributes.get("keepdims", 1)
        if node.op in ("ReduceMean", "GlobalAveragePool"):
            node.op, node.inputs, node.attributes = "GlobalAveragePool", [source], {}
        else:
            axes_name = graph.constant("rows_and_columns", np.array(SPATIAL, np.int64))
            node.op, node.inputs, node.attributes = "ReduceMax", [source, axes_name], {"keepdims": 1}
        if flat:
            pooled = f"{node.output}.pooled"
            flatten = Node("Flatten", f"{node.name}.flatten", [pooled], list(node.outputs), {"axis": 1}, node.scope)
            node.outputs = [pooled]
            graph.insert_after(node, flatten)


def name_flatten(graph: Graph) -> None:
    """A Reshape or Squeeze of [N, C, H, W] to [N, C * H * W] becomes Flatten; one that changes nothing vanishes."""
    for node in graph.each("Reshape", "Squeeze", "Flatten", "Unsqueeze"):
        before, after = graph.shapes.get(node.inputs[0]), graph.shapes.get(node.output)
        if before is None or after is None:
            continue
        if before == after:
            graph.bypass(node)
        elif len(after) == 2 and after[0] == before[0]:
            node.op, node.inputs, node.attributes = "Flatten", node.inputs[:1], {"axis": 1}
        else:
            raise UsageError(
                f"{_where(node)}: reshaping {list(before)} to {list(after)} is not supported; flatten only"
            )


def plain_clip(graph: Graph) -> None:
    """Clip's bounds are constants 0 and 6; Clip from 0 without an upper bound is Relu."""
    for node in graph.each("Clip"):
        low, high = (
            float(graph.constants[node.inputs[i]]) if len(node.inputs) > i and node.inputs[i] else None for i in (1, 2)
        )
        if low != 0.0 or high not in (6.0, None):
            raise UsageError(f"{_where(node)}: only relu and relu6 can be clipped to, not [{low}, {high}]")
        if high is None:
            node.op, node.inputs = "Relu", node.inputs[:1]
        else:
            bounds = [("relu6.low", 0.0), ("relu6.high", 6.0)]
            graph.constants.update({name: np.array(value, np.float32) for name, value in bounds})
            node.inputs = [node.inputs[0], *(name for name, _ in bounds)]


STEPS: tuple[Callable[[Graph], None], ...] = (
    drop_what_does_nothing,
    fold_pad,
    fold_batch_norm,
    complete_conv,
    complete_dense,
    complete_pool,
    name_global_pools,
    name_flatten,
    plain_clip,
)


def _append_softmax(graph: Graph) -> None:
    (output,) = graph.outputs
    graph.nodes.append(
        Node("Softmax", "probabilities", [output.name], ["softmax_output"], {"axis": 1}, "probabilities")
    )
    graph.outputs = [Value("softmax_output", output.dtype, output.shape)]


GENERIC = {"conv", "norm", "act", "dense", "body"}
"""Parts of edgecnn's own blocks, which say no more than the block's name does."""


def _name_after_layers(graph: Graph) -> None:
    """A node and its output are called after the torch module they came from: `block3/depthwise`."""
    renamed: dict[str, str] = {graph.outputs[0].name: LOGITS}
    taken = {IMAGE, LOGITS}
    for node in graph.nodes:
        scope = node.scope.split(".")
        telling = "/".join(part for part in scope if part not in GENERIC)
        base = telling or scope[-1] or re.sub(r"\W+", "_", node.op.lower())
        if node.op in _SUFFIX and _SUFFIX[node.op] not in base.rsplit("/")[-1]:
            base += f"/{_SUFFIX[node.op]}"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        node.name = name
        renamed.setdefault(node.output, name)
    for node in graph.nodes:
        for i, kind in ((1, "weight"), (2, "bias")):
            if node.op in ("Conv", "Gemm"):
                graph.constants[f"{node.name}.{kind}"] = graph.constants[node.inputs[i]]
                node.inputs[i] = f"{node.name}.{kind}"
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        node.outputs = [renamed.get(name, name) for name in node.outputs]
    graph.outputs = [Value(LOGITS, v.dtype, v.shape) for v in graph.outputs]
    graph.prune()


_SUFFIX = {"Add": "add", "Relu": "relu", "Clip": "relu6", "Flatten": "flatten", "Softmax": "softmax"}


def _put_image_in_front(graph: Graph) -> None:
    """uint8 NHWC pixels, dequantized to (pixel - 128) / 128 and transposed: the grid of int8 is the pixel grid."""
    (given,) = graph.inputs
    count, channels, height, width = given.shape
    scale = graph.constant("image.scale", np.array(IMAGE_SCALE, np.float32))
    zero = graph.constant("image.zero_point", np.array(IMAGE_ZERO, np.uint8))
    pixels = Node("DequantizeLinear", "pixels", [IMAGE, scale, zero], ["pixels"])
    planes = Node("Transpose", "planes", ["pixels"], ["planes"], {"perm": [0, 3, 1, 2]})
    for node in graph.nodes:
        node.inputs = ["planes" if name == given.name else name for name in node.inputs]
    graph.insert_after(None, pixels, planes)
    graph.inputs = [Value(IMAGE, TensorProto.UINT8, (count, height, width, channels))]


def _where(node: Node) -> str:
    return f"{node.op} in layer '{node.scope or node.name}'"
