"""An .onnx file of any origin as a listing: QDQ pairs, ONNX Runtime's quantized operations, or plain floats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgecnn.graph.listing import Array, Listing, Operation, Quantization, Value, Window, snake

KINDS = {
    "Conv": "conv",
    "QLinearConv": "conv",
    "ConvInteger": "conv",
    "ConvTranspose": "transposed_conv",
    "Gemm": "dense",
    "QGemm": "dense",
    "MatMul": "dense",
    "QLinearMatMul": "dense",
    "MatMulInteger": "dense",
    "GlobalAveragePool": "global_average_pool",
    "AveragePool": "average_pool",
    "ReduceMean": "mean",
    "ReduceMax": "reduce_max",
    "BatchNormalization": "batch_norm",
    "QuantizeLinear": "quantize",
    "DequantizeLinear": "dequantize",
    "Clip": "relu6",
    "Swish": "swish",
}
PREFIX = "QLinear"
ENDS: dict[str, tuple[tuple[int, ...], int]] = {
    "QLinearConv": ((0,), 6),
    "QLinearMatMul": ((0, 3), 6),
    "QGemm": ((0,), 7),
    "QLinearAdd": ((0, 3), 6),
    "QLinearMul": ((0, 3), 6),
    "QLinearGlobalAveragePool": ((0,), 3),
    "QLinearAveragePool": ((0,), 3),
    "QLinearLeakyRelu": ((0,), 3),
    "QLinearSigmoid": ((0,), 3),
    "QLinearSoftmax": ((0,), 3),
}
"""Of operations that carry scales: where their inputs stand (value, scale, zero point), and the output's scale."""
QUANTIZED_WEIGHTS = {"QLinearConv": (3, 8), "QLinearMatMul": (3, 9), "QGemm": (3, 6)}
"""Where their weights stand (with scale and zero point) and their bias."""
WEIGHTS = {"Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "MatMul": (1, 2)}


def read(model: Path) -> Listing:
    """The listing of a file's graph; whatever is wrong with the file raises what onnx and numpy raise."""
    proto = onnx.load(model)
    return _Reader(proto, _shapes(proto)).read()


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of every value that shape inference finds."""
    inferred = onnx.shape_inference.infer_shapes(_without_contrib(model), data_prop=True).graph
    found = {}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        kind = value.type.tensor_type
        sizes = tuple(max(0, size.dim_value) for size in kind.shape.dim)
        found[value.name] = (sizes, _dtype(kind.elem_type))
    return found


def _without_contrib(model: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX's own operations in the place of ONNX Runtime's, for shape inference, which knows no others."""
    if all(node.op_type not in ENDS or node.domain in ("", "ai.onnx") for node in model.graph.node):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        if node.domain in ("", "ai.onnx") or not (node.op_type in ENDS or node.op_type == "QLinearConcat"):
            continue
        places = range(2, len(node.input), 3) if node.op_type == "QLinearConcat" else ENDS[node.op_type][0]
        names = [node.input[i] for i in places] + [node.input[3]] * (node.op_type == "QGemm")
        del node.input[:]
        node.input.extend(names)
        node.op_type, node.domain = node.op_type.removeprefix(PREFIX).replace("QGemm", "Gemm"), ""
    return changed


def _dtype(code: int) -> str:
    try:
        return str(helper.tensor_dtype_to_np_dtype(code).name)
    except KeyError:
        return "unknown"


class _Reader:
    def __init__(self, model: onnx.ModelProto, shapes: dict[str, tuple[tuple[int, ...], str]]) -> None:
        self.graph, self.shapes = model.graph, shapes
        self.constants: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        self.values: dict[str, Value] = {}
        self.takers: dict[str, list[onnx.NodeProto]] = {}
        self.ends = {value.name for value in self.graph.output}
        self.rounded: set[str] = set()
        """Outputs that are only ever quantized, which is then part of the operation."""
        for node in self.graph.node:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def read(self) -> Listing:
        given = [value.name for value in self.graph.input if value.name not in self.constants]
        for name in given:
            self.values[name] = self._plain(name)
        operations = [made for node in self.graph.node if (made := self._node(node)) is not None]
        return Listing(
            tuple(self.values[name] for name in given),
            tuple(self.value(value.name) for value in self.graph.output),
            tuple(operations),
        )

    # --- values ------------------------------------------------------------------------------------------------------

    def value(self, name: str) -> Value:
        """A value by its name; one that no node has made yet (a broken order) is as shape inference has it."""
        if name in self.values:
            return self.values[name]
        if name in self.constants:
            array = self.constants[name]
            return Value(name, array.shape, array.dtype.name, constant=array)
        return self._plain(name)

    def _plain(self, name: str) -> Value:
        shape, dtype = self.shapes.get(name, ((), "unknown"))
        return Value(name, shape, dtype)

    def _grid(self, names: Sequence[str], axis: int | None = None) -> Quantization | None:
        """Of a scale and a zero point by their names; None where they are no constants."""
        scale = self.constants.get(names[0])
        if scale is None:
            return None
        zero = self.constants.get(names[1]) if len(names) > 1 and names[1] else None
        dtype = "uint8" if zero is None else zero.dtype.name
        scales = np.atleast_1d(scale).ravel().astype(np.float64)
        zeros = np.zeros(len(scales), np.int64) if zero is None else np.atleast_1d(zero).ravel().astype(np.int64)
        return Quantization(dtype, scales, zeros, axis if len(scales) > 1 else None)

    # --- nodes -------------------------------------------------------------------------------------------------------

    def _node(self, node: onnx.NodeProto) -> Operation | None:
        """The operation that a node is; None for constants and for what becomes a grid."""
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant" and "value" in attributes:
            self.constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            return None
        if node.op_type == "Constant":
            self.constants[node.output[0]] = np.asarray(next(iter(attributes.values()), 0))
            return None
        if node.op_type == "DequantizeLinear":
            return self._dequantize(node, attributes)
        if node.op_type == "QuantizeLinear":
            return self._quantize(node)
        return self._operation(node, attributes)

    def _dequantize(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Operation | None:
        """Its output is its input with a grid on it; an operation of its own only where it ends the graph."""
        source = self.value(node.input[0])
        grid = self._grid(node.input[1:3], attributes.get("axis", 1))
        grid = None if grid is None else replace(grid, dtype=source.dtype)
        self.values[node.output[0]] = replace(source, quantization=grid)
        if node.output[0] not in self.ends:
            return None
        return self._boundary(node, "dequantize", replace(source, quantization=grid), self._plain(node.output[0]))

    def _quantize(self, node: onnx.NodeProto) -> Operation | None:
        """Part of the operation before it; one of its own behind another grid or at the graph's beginning."""
        source, grid = self.value(node.input[0]), self._grid(node.input[1:3])
        made = replace(source, dtype=grid.dtype if grid else "uint8", quantization=grid)
        self.values[node.output[0]] = made
        if source.constant is not None or node.input[0] in self.rounded:
            return None
        made = self.values[node.output[0]] = replace(made, name=node.output[0])
        return self._boundary(node, "quantize", source, made)

    def _boundary(self, node: onnx.NodeProto, kind: str, source: Value, made: Value) -> Operation:
        return Operation(_name(node), node.op_type, kind, (source,), (made,), _aliases(node))

    def _operation(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Operation:
        inputs, constants, weights, bias = self._taken(node)
        kind = KINDS.get(node.op_type, snake(node.op_type.removeprefix(PREFIX)))
        axis = _channel_axis(node.op_type, attributes)
        if kind == "dense" and weights is None:
            kind = "matmul"
        if kind == "conv" and weights is not None and attributes.get("group", 1) == weights.shape[0] > 1:
            kind = "depthwise_conv"
        if kind == "relu6" and not _is_relu6(constants, attributes):
            kind = "clip"
        outputs = tuple(self._made(name, node) for name in node.output if name)
        return Operation(
            name=_name(node),
            type=node.op_type,
            kind=kind,
            inputs=inputs,
            outputs=outputs,
            aliases=(*_aliases(node), *self._rounders(node)),
            weights=weights,
            bias=bias,
            constants=constants,
            channel_axis=axis,
            window=_window(weights, attributes),
        )

    def _taken(self, node: onnx.NodeProto) -> tuple[tuple[Value, ...], tuple[Value, ...], Value | None, Value | None]:
        """What a node takes: values between operations, further constants, weights, bias."""
        if node.op_type in ENDS or node.op_type == "QLinearConcat":
            taken = list(self._with_scales(node))
        else:
            taken = [(i, self.value(name)) for i, name in enumerate(node.input) if name]
        places = QUANTIZED_WEIGHTS.get(node.op_type) or WEIGHTS.get(node.op_type) or (-1, -1)
        made = "Conv" in node.op_type  # whose second input is weights even where the graph computes them
        weights = next((value for i, value in taken if i == places[0] and (made or value.constant is not None)), None)
        bias = next((value for i, value in taken if i == places[1] and value.constant is not None), None)
        rest = [value for _, value in taken if value is not weights and value is not bias]
        between = tuple(value for value in rest if value.constant is None)
        return between, tuple(value for value in rest if value.constant is not None), weights, bias

    def _with_scales(self, node: onnx.NodeProto) -> Iterator[tuple[int, Value]]:
        """The inputs of an operation that carries scales, each with its grid."""
        names = node.input
        places = tuple(range(2, len(names), 3)) if node.op_type == "QLinearConcat" else ENDS[node.op_type][0]
        weights, bias = QUANTIZED_WEIGHTS.get(node.op_type, (-1, -1))
        for place in dict.fromkeys((*places, weights) if weights >= 0 else places):
            value = self.value(names[place])
            yield place, replace(value, quantization=self._grid(names[place + 1 : place + 3], 0))
        if 0 <= bias < len(names) and names[bias]:
            value, scale, by = self.value(names[bias]), self._grid([names[1]]), self._grid([names[weights + 1]])
            if scale is not None and by is not None:
                product = scale.scales[0] * by.scales
                value = replace(value, quantization=Quantization("int32", product, np.zeros(len(product), np.int64), 0))
            yield bias, value

    def _rounders(self, node: onnx.NodeProto) -> Iterator[str]:
        """The names of the nodes that quantize what a node gives, where nothing else takes it."""
        for name in node.output:
            if name in self.rounded:
                yield from (taker.name for taker in self.takers[name] if taker.name)

    def _made(self, name: str, node: onnx.NodeProto) -> Value:
        """An output, on a grid where quantizing it is all that is done with it."""
        value = self._plain(name)
        takers = self.takers.get(name, [])
        if node.op_type in ENDS or node.op_type == "QLinearConcat":
            place = 0 if node.op_type == "QLinearConcat" else ENDS[node.op_type][1]
            value = replace(value, quantization=self._grid(node.input[place : place + 2]))
        elif takers and name not in self.ends and all(taker.op_type == "QuantizeLinear" for taker in takers):
            grid = self._grid(takers[0].input[1:3])
            if grid is not None:
                self.rounded.add(name)
                value = replace(value, dtype=grid.dtype, quantization=grid)
        elif value.dtype in ("uint8", "int8"):
            # moved between grids: reshaped or pooled integers stay where they were
            source = self.value(node.input[0]) if node.input else value
            value = replace(value, quantization=source.quantization)
        self.values.setdefault(name, value)
        return value


def _name(node: onnx.NodeProto) -> str:
    return node.name or (node.output[0] if node.output else node.op_type)


def _aliases(node: onnx.NodeProto) -> tuple[str, ...]:
    return tuple(name for name in (node.name, *node.output) if name)


def _channel_axis(op: str, attributes: dict[str, Any]) -> int:
    if op in ("MatMul", "QLinearMatMul"):
        return -1
    if op in ("Gemm", "QGemm"):
        return 0 if attributes.get("transB", 0) else 1
    return 1 if op == "ConvTranspose" else 0


def _window(weights: Value | None, attributes: dict[str, Any]) -> Window | None:
    kernel = attributes.get("kernel_shape")
    if kernel is None and weights is not None and len(weights.shape) == 4:
        kernel = weights.shape[2:]
    if kernel is None or len(kernel) != 2:
        return None
    stride, dilation = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1]))


def _is_relu6(constants: Sequence[Value], attributes: dict[str, Any]) -> bool:
    ends = tuple(float(v.constant.ravel()[0]) for v in constants if v.constant is not None and v.constant.size == 1)
    return (ends or (attributes.get("min"), attributes.get("max"))) == (0.0, 6.0)
