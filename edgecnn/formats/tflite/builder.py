"""A TFLite model under construction: tensors in NHWC, constants, operators, and the finished flatbuffer.

Source: the LiteRT schema (schema.fbs, version 3) and its 8-bit quantization specification. Buffer 0 is empty by
convention; buffers of constants are aligned to 16 bytes as the schema's force_align asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from edgecnn.errors import MissingExtra
from edgecnn.graph.edit import Array
from edgecnn.graph.program import SHIFT, Grid, Op, Program, Tensor

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError as error:
    raise MissingExtra("writing TFLite files", "ai-edge-litert", "tflite") from error

__all__ = ["SHIFT", "Builder", "activation_of", "nhwc", "pack", "schema", "unpack"]

FILE_IDENTIFIER = b"TFL3"
ALIGNMENT = 16


class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A constant's bytes, at a multiple of 16 in the file (the generated code aligns to 1)."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated code's name
        """Write the bytes and their table."""
        vector = None
        if self.data is not None:
            content = bytes(self.data)
            builder.StartVector(1, len(content), ALIGNMENT)
            builder.head = builder.head - len(content)
            builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


class Builder:
    """Collects what the op writers make of a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [AlignedBuffer()]
        self.operators: list[Any] = []
        self.codes: list[tuple[int, int]] = []
        self._index: dict[str, int] = {}

    # --- tensors ---------------------------------------------------------------------------------------------------

    def tensor(self, tensor: Tensor) -> int:
        """The index of a tensor between operations: int8 where it has a grid, else float32; NHWC."""
        if tensor.value not in self._index:
            self._index[tensor.value] = self.intermediate(tensor.name, nhwc(tensor.shape), tensor.grid)
        return self._index[tensor.value]

    def alias(self, tensor: Tensor, index: int) -> None:
        """Let a tensor be one that is already there."""
        self._index[tensor.value] = index

    def flat(self, tensor: Tensor) -> int:
        """The tensor of a global pool, [N, C, 1, 1] in the graph and [N, C] here."""
        if tensor.value not in self._index:
            self._index[tensor.value] = self.intermediate(tensor.name, tensor.shape[:2], tensor.grid)
        return self._index[tensor.value]

    def intermediate(self, name: str, shape: Sequence[int], grid: Grid | None) -> int:
        """A new activation tensor of a shape in TFLite's order."""
        if grid is None:
            return self._add(name, shape, schema.TensorType.FLOAT32)
        return self._add(name, shape, schema.TensorType.INT8, [grid.scale], [grid.zero_point - SHIFT])

    def pixels(self, name: str, shape: Sequence[int], grid: Grid) -> int:
        """A new uint8 tensor."""
        return self._add(name, shape, schema.TensorType.UINT8, [grid.scale], [grid.zero_point])

    def constant(self, name: str, values: Array, scales: Array | None = None, axis: int = 0) -> int:
        """A new constant; with `scales`, integers quantized along `axis` with zero points 0.

        float16 ones get a DEQUANTIZE to float32, which XNNPACK does once, at loading.
        """
        buffer = AlignedBuffer()
        buffer.data = np.ascontiguousarray(values).tobytes()
        self.buffers.append(buffer)
        kind = _TYPES[values.dtype.type]
        zeros = None if scales is None else [0] * len(scales)
        listed = None if scales is None else scales.tolist()
        made = self._add(name, values.shape, kind, listed, zeros, axis, len(self.buffers) - 1)
        if kind != schema.TensorType.FLOAT16:
            return made
        widened = self._add(f"{name}/float32", values.shape, schema.TensorType.FLOAT32)
        self.operator("DEQUANTIZE", 3, [made], [widened], schema.DequantizeOptionsT())
        return widened

    def _add(
        self,
        name: str,
        shape: Sequence[int],
        kind: int,
        scales: list[float] | None = None,
        zero_points: list[int] | None = None,
        axis: int = 0,
        buffer: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, buffer
        tensor.hasRank = True
        if scales is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = np.array(scales, np.float32), np.array(zero_points, np.int64)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    # --- operators -------------------------------------------------------------------------------------------------

    def operator(
        self, code: str, version: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None
    ) -> None:
        """Add an operator; `options` is one of the schema's ...OptionsT."""
        key = (getattr(schema.BuiltinOperator, code), version)
        if key not in self.codes:
            self.codes.append(key)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(key)
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self.operators.append(operator)

    def finish(self, inputs: dict[str, int], outputs: dict[str, int], metadata: Mapping[str, bytes]) -> bytes:
        """The file's bytes; names of inputs and outputs stand in its one signature, metadata entries in buffers."""
        graph = schema.SubGraphT()
        graph.name = b"main"
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs = [_tensor_map(name, index) for name, index in inputs.items()]
        signature.outputs = [_tensor_map(name, index) for name, index in outputs.items()]
        model = schema.ModelT()
        model.version, model.description = 3, b"edgecnn"
        model.subgraphs, model.signatureDefs = [graph], [signature]
        model.operatorCodes = [_operator_code(code, version) for code, version in self.codes]
        model.metadata = [self._entry(name, content) for name, content in metadata.items()]
        model.buffers = self.buffers
        return pack(model)

    def _entry(self, name: str, content: bytes) -> Any:
        buffer, made = AlignedBuffer(), schema.MetadataT()
        buffer.data = content
        self.buffers.append(buffer)
        made.name, made.buffer = name.encode(), len(self.buffers) - 1
        return made


def pack(model: Any) -> bytes:
    """A model object as a file's bytes."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def unpack(content: bytes) -> Any:
    """A file's bytes as a model object that can be changed and packed again."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for i, buffer in enumerate(model.buffers):
        aligned = AlignedBuffer()
        aligned.data = buffer.data
        model.buffers[i] = aligned
    return model


def nhwc(shape: Sequence[int]) -> tuple[int, ...]:
    """[N, C, H, W] as [N, H, W, C]; other ranks as they are."""
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else tuple(shape)


def activation_of(op: Op) -> int:
    """The schema's code of an operation's fused activation."""
    codes = schema.ActivationFunctionType
    return int({None: codes.NONE, "relu": codes.RELU, "relu6": codes.RELU6}[op.activation])


def _operator_code(code: int, version: int) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), version
    return made


def _tensor_map(name: str, index: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name.encode(), index
    return made


_TYPES = {
    np.float16: schema.TensorType.FLOAT16,
    np.float32: schema.TensorType.FLOAT32,
    np.int8: schema.TensorType.INT8,
    np.int32: schema.TensorType.INT32,
}
