"""A .tflite file of any origin as a listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.formats.tflite.builder import schema, unpack
from edgecnn.graph.listing import Array, Listing, Operation, Quantization, Value, Window, snake

KINDS = {
    "CONV_2D": "conv",
    "DEPTHWISE_CONV_2D": "depthwise_conv",
    "TRANSPOSE_CONV": "transposed_conv",
    "FULLY_CONNECTED": "dense",
    "BATCH_MATMUL": "matmul",
    "AVERAGE_POOL_2D": "average_pool",
    "MAX_POOL_2D": "max_pool",
    "LOGISTIC": "sigmoid",
    "CONCATENATION": "concat",
    "RESIZE_BILINEAR": "resize",
    "RESIZE_NEAREST_NEIGHBOR": "resize",
    "PADV2": "pad",
}
WEIGHTS = {"CONV_2D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2), "TRANSPOSE_CONV": (1, 3), "FULLY_CONNECTED": (1, 2)}
"""Where an operator's weights and bias stand among its inputs."""
DEPTHWISE_AXIS = 3


def read(model: Path) -> Listing:
    """The listing of a file's first graph; whatever is wrong with the file raises what flatbuffers and numpy raise."""
    opened = unpack(model.read_bytes())
    graph = opened.subgraphs[0]
    values = [_value(opened, tensor, i) for i, tensor in enumerate(graph.tensors)]
    unpacked: dict[int, int] = {}
    operations = []
    for place, operator in enumerate(graph.operators):
        kind = _type(opened.operatorCodes[operator.opcodeIndex])
        inputs = [unpacked.get(i, i) for i in _indices(operator.inputs)]
        if kind == "DEQUANTIZE" and values[inputs[0]].constant is not None:
            unpacked[int(operator.outputs[0])] = inputs[0]  # weights that are kept smaller than they are used
            continue
        taken = [(i, values[index]) for i, index in enumerate(inputs) if index >= 0]
        outputs = tuple(values[index] for index in _indices(operator.outputs))
        operations.append(_operation(kind, place, operator.builtinOptions, taken, outputs))
    return Listing(
        tuple(values[i] for i in _indices(graph.inputs)),
        tuple(values[unpacked.get(i, i)] for i in _indices(graph.outputs)),
        tuple(operations),
        channels_last=True,
    )


def _indices(given: Any) -> list[int]:
    return [] if given is None else [int(i) for i in given]


def _operation(
    kind: str, place: int, options: Any, taken: Sequence[tuple[int, Value]], outputs: tuple[Value, ...]
) -> Operation:
    places = WEIGHTS.get(kind, (-1, -1))
    weights = next((value for i, value in taken if i == places[0] and value.constant is not None), None)
    bias = next((value for i, value in taken if i == places[1] and value.constant is not None), None)
    rest = [value for _, value in taken if value is not weights and value is not bias]
    return Operation(
        name=outputs[0].name if outputs else f"{kind} {place}",
        type=kind,
        kind=KINDS.get(kind, snake(kind)),
        inputs=tuple(value for value in rest if value.constant is None),
        outputs=outputs,
        aliases=(str(place),),
        weights=weights,
        bias=bias,
        constants=tuple(value for value in rest if value.constant is not None),
        channel_axis=DEPTHWISE_AXIS if kind == "DEPTHWISE_CONV_2D" else 0,
        window=_window(kind, options, weights),
    )


def _window(kind: str, options: Any, weights: Value | None) -> Window | None:
    """Of a convolution or a pool."""
    if hasattr(options, "filterHeight"):
        kernel = (options.filterHeight, options.filterWidth)
    elif kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV") and weights is not None and len(weights.shape) == 4:
        kernel = (weights.shape[1], weights.shape[2])
    else:
        return None
    stride = (getattr(options, "strideH", 1), getattr(options, "strideW", 1))
    return Window(kernel, stride, (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1)))


def _value(model: Any, tensor: Any, place: int) -> Value:
    """A tensor; of one without a name its place is the name."""
    name = tensor.name.decode(errors="replace") if tensor.name else f"tensor {place}"
    dtype = _TYPES.get(tensor.type, "unknown")
    signature = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    shape = tuple(max(0, size) for size in _indices(signature))
    content = model.buffers[tensor.buffer].data
    constant = None
    if content is not None and len(content) and dtype != "unknown":
        constant = _constant(bytes(content), dtype, shape)
    return Value(name, shape, dtype, _quantization(tensor.quantization, dtype), constant)


def _constant(content: bytes, dtype: str, shape: tuple[int, ...]) -> Array | None:
    """None for what is packed otherwise: sparse, or less than 8 bits."""
    values = np.frombuffer(content[: len(content) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize], dtype)
    return values.reshape(shape) if values.size == np.prod(shape, dtype=np.int64) else None


def _quantization(given: Any, dtype: str) -> Quantization | None:
    if given is None or given.scale is None or not len(given.scale):
        return None
    scales = np.asarray(given.scale, np.float64)
    zeros = np.zeros(len(scales), np.int64) if given.zeroPoint is None else np.asarray(given.zeroPoint, np.int64)
    return Quantization(dtype, scales, zeros, int(given.quantizedDimension) if len(scales) > 1 else None)


def _type(code: Any) -> str:
    if code.customCode:
        return str(code.customCode.decode(errors="replace"))
    return _NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), f"BUILTIN {code.builtinCode}")


def _names(enumeration: Any) -> Iterator[tuple[int, str]]:
    return ((value, name) for name, value in vars(enumeration).items() if isinstance(value, int))


_NAMES = dict(_names(schema.BuiltinOperator))
_TYPES = {
    code: name.lower()
    for code, name in _names(schema.TensorType)
    if name in ("FLOAT32", "FLOAT16", "FLOAT64", "INT8", "UINT8", "INT16", "INT32", "INT64")
} | {schema.TensorType.BOOL: "bool"}
