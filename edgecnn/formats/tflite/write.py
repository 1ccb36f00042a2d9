"""A program as a TFLite file, and one operation cut out of such a file."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.errors import UnusableFile
from edgecnn.formats import Details, labels_of
from edgecnn.formats.tflite.builder import SHIFT, Builder, nhwc, pack, schema, unpack
from edgecnn.formats.tflite.metadata import entries, with_labels
from edgecnn.formats.tflite.ops import write_op
from edgecnn.graph.canonical import IMAGE, LOGITS
from edgecnn.graph.program import Grid, Program

CORE = "/core"
"""Added to the name of an end's tensor inside, where the end itself is of another type."""


def write_program(program: Program, details: Details) -> bytes:
    """The bytes of a .tflite file: uint8 pixels in; float32 out, or uint8 where the program ends on a grid.

    What it says about itself is TFLite metadata, with the labels in an archive behind the model.

    Raises UsageError for an operation without a writer.
    """
    builder = Builder(program)
    image = _image(program, builder)
    for op in program.ops:
        write_op(op, builder)
    output = _output(program, builder)
    content = builder.finish({IMAGE: image}, {LOGITS: output}, entries(program, details))
    labels = labels_of(details)
    return with_labels(content, labels) if labels else content


def _image(program: Program, builder: Builder) -> int:
    """uint8 -> QUANTIZE -> int8 on the same grid, or uint8 -> DEQUANTIZE -> float32."""
    tensor = program.image
    quantized = program.output.grid is not None
    pixels = builder.pixels(IMAGE, nhwc(tensor.shape), program.pixels)
    inside = builder.intermediate(IMAGE + CORE, nhwc(tensor.shape), program.pixels if quantized else None)
    builder.alias(tensor, inside)
    if quantized:
        builder.operator("QUANTIZE", 1, [pixels], [inside], schema.QuantizeOptionsT())
    else:
        builder.operator("DEQUANTIZE", 1, [pixels], [inside], schema.DequantizeOptionsT())
    return pixels


def _output(program: Program, builder: Builder) -> int:
    """int8 -> QUANTIZE -> uint8 on the same grid, or -> DEQUANTIZE -> float32; float32 as it is."""
    tensor = program.output
    inside = builder.tensor(tensor)
    if tensor.grid is None:
        return inside
    if program.float_answers:
        made = builder.intermediate(LOGITS, nhwc(tensor.shape), None)
        builder.operator("DEQUANTIZE", 2, [inside], [made], schema.DequantizeOptionsT())
        return made
    made = builder.pixels(LOGITS, nhwc(tensor.shape), tensor.grid)
    builder.operator("QUANTIZE", 1, [inside], [made], schema.QuantizeOptionsT())
    return made


def read_grids(model: Path) -> dict[str, Grid]:
    """The uint8 grid of every int8 activation of a file, by the tensor's name; UnusableFile where it is damaged."""
    graph = _unpacked(model).subgraphs[0]
    found = {}
    for tensor in graph.tensors:
        quantization = tensor.quantization
        if tensor.type == schema.TensorType.INT8 and quantization is not None and len(quantization.scale) == 1:
            zero_point = int(quantization.zeroPoint[0]) + SHIFT
            found[tensor.name.decode()] = Grid(float(quantization.scale[0]), zero_point)
    return found


def _unpacked(model: Path) -> Any:
    try:
        return unpack(model.read_bytes())
    except (struct.error, ValueError, TypeError, AttributeError, IndexError) as error:
        raise UnusableFile(f"{model}: is no TFLite file ({error})") from error


def cut(model: Path, inputs: Sequence[str], output: str) -> bytes:
    """A file that holds only the operators from the tensors `inputs` to the tensor `output`.

    UnusableFile where the file has no such tensors.
    """
    opened = _unpacked(model)
    (graph,) = opened.subgraphs
    index = {tensor.name.decode(): i for i, tensor in enumerate(graph.tensors)}
    missing = [name for name in (*inputs, output) if name not in index]
    if missing:
        raise UnusableFile(f"the TFLite file has no tensor '{missing[0]}'")
    given, wanted, kept = {index[name] for name in inputs}, {index[output]}, []
    for operator in reversed(graph.operators):
        if wanted & set(operator.outputs.tolist()):
            kept.append(operator)
            wanted |= {i for i in operator.inputs.tolist() if i >= 0} - given
    graph.operators = kept[::-1]
    graph.inputs = np.array([index[name] for name in inputs], np.int32)
    graph.outputs = np.array([index[output]], np.int32)
    opened.signatureDefs = None
    return pack(opened)
