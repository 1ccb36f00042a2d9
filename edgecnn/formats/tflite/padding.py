"""Margins in TFLite's words: SAME or VALID where they say it, else a PAD operator before a VALID window."""

from __future__ import annotations

import numpy as np

from edgecnn.formats.tflite.builder import SHIFT, Builder, nhwc, schema
from edgecnn.geometry import Margins, Pair, same_margins, spread
from edgecnn.graph.program import Op


def margins_of(op: Op) -> Margins:
    """ONNX's pads (top, left, bottom, right)."""
    top, left, bottom, right = op.attributes["pads"]
    return Margins(top, bottom, left, right)


def window_of(op: Op) -> Pair:
    """What a kernel covers, dilation included."""
    kernel, dilations = op.attributes["kernel_shape"], op.attributes.get("dilations", [1, 1])
    return spread((kernel[0], kernel[1]), (dilations[0], dilations[1]))


def is_same(op: Op) -> bool:
    """Whether the margins are those of SAME at this size."""
    height, width = op.inputs[0].shape[2:]
    strides = op.attributes["strides"]
    return margins_of(op) == same_margins((height, width), window_of(op), (strides[0], strides[1]))


def padded(op: Op, builder: Builder, lowest: bool = False) -> tuple[int, int]:
    """The index of the input, padded by an operator if need be, and the schema's code for what remains.

    Padding is with zero, or with the lowest value there is where `lowest`.
    """
    given, margins = builder.tensor(op.inputs[0]), margins_of(op)
    if margins == Margins(0, 0, 0, 0):
        return given, schema.Padding.VALID
    if is_same(op):
        return given, schema.Padding.SAME
    return pad(op, builder, given, margins, lowest), schema.Padding.VALID


def pad(op: Op, builder: Builder, given: int, margins: Margins, lowest: bool = False) -> int:
    """A PAD (zero) or PADV2 (lowest value) operator before an operation; the index of what it makes."""
    source = op.inputs[0]
    # The image of an fp32 file has a grid, and is float here.
    grid = source.grid if op.output.grid is not None else None
    count, height, width, channels = nhwc(source.shape)
    shape = (count, height + margins.top + margins.bottom, width + margins.left + margins.right, channels)
    made = builder.intermediate(f"{op.name}/pad", shape, grid)
    amounts = np.array([[0, 0], [margins.top, margins.bottom], [margins.left, margins.right], [0, 0]], np.int32)
    inputs = [given, builder.constant(f"{op.name}/pad/amounts", amounts)]
    version = 1 if grid is None else 2
    if not lowest:
        builder.operator("PAD", version, inputs, [made], schema.PadOptionsT())
        return made
    if grid is None:
        inputs.append(builder.constant(f"{op.name}/pad/value", np.array([np.finfo(np.float32).min], np.float32)))
    else:
        value, scale = np.array([-SHIFT], np.int8), np.array([grid.scale], np.float32)
        inputs.append(builder.constant(f"{op.name}/pad/value", value, scale))
        builder.tensors[inputs[-1]].quantization.zeroPoint = np.array([grid.zero_point - SHIFT], np.int64)
    builder.operator("PADV2", version, inputs, [made], schema.PadV2OptionsT())
    return made
