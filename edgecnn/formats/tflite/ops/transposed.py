"""ConvTranspose -> TRANSPOSE_CONV (weights OHWI), SAME or VALID; other margins are cut off by SLICE."""

from __future__ import annotations

import numpy as np

from edgecnn.formats.tflite.builder import Builder, nhwc, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.formats.tflite.padding import margins_of
from edgecnn.geometry import Pair, same_margins
from edgecnn.graph.program import Op


@writes("ConvTranspose")
def transposed_conv(op: Op, builder: Builder) -> None:
    """TRANSPOSE_CONV is told its output's size, and finds its margins as a convolution from there would."""
    size, whole = _size(op.output.shape), _whole(op)
    made = _before_activation(op, builder)
    if margins_of(op) == same_margins(size, _kernel(op), _strides(op)):
        _write(op, builder, size, schema.Padding.SAME, made)
    elif size == whole:
        _write(op, builder, size, schema.Padding.VALID, made)
    else:
        _cut(op, builder, whole, made)
    if made != builder.tensor(op.output):
        version = 1 if op.output.grid is None else 2
        builder.operator(str(op.activation).upper(), version, [made], [builder.tensor(op.output)])


def _before_activation(op: Op, builder: Builder) -> int:
    """Where the convolution writes to: the output, unless an operator of its own must cut values off.

    The operator has a fused activation from version 4 on only; on a grid that begins at zero and ends where the
    activation does, int8 has none to compute.
    """
    grid = op.output.grid
    if op.activation is None or (grid is not None and grid.zero_point == 0):
        return builder.tensor(op.output)
    return builder.intermediate(f"{op.name}/sums", nhwc(op.output.shape), grid)


def _cut(op: Op, builder: Builder, whole: Pair, cut: int) -> None:
    """All that the kernel reaches, without its margins."""
    count, rows, columns, channels = nhwc(op.output.shape)
    reached = (max(whole[0], rows), max(whole[1], columns))
    made = builder.intermediate(f"{op.name}/whole", (count, *reached, channels), op.output.grid)
    _write(op, builder, reached, schema.Padding.VALID, made)
    margins = margins_of(op)
    inputs = [
        made,
        builder.constant(f"{op.name}/begin", np.array([0, margins.top, margins.left, 0], np.int32)),
        builder.constant(f"{op.name}/size", np.array([count, rows, columns, channels], np.int32)),
    ]
    version = 1 if op.output.grid is None else 2
    builder.operator("SLICE", version, inputs, [cut], schema.SliceOptionsT())


def _write(op: Op, builder: Builder, size: Pair, padding: int, made: int) -> None:
    weight, bias = op.constants
    options = schema.TransposeConvOptionsT()
    options.padding = padding
    options.strideH, options.strideW = _strides(op)
    shape = (op.output.shape[0], *size, op.output.shape[1])
    inputs = [
        builder.constant(f"{op.name}/shape", np.array(shape, np.int32)),
        builder.constant(f"{op.name}/weight", weight.values.transpose(0, 2, 3, 1), weight.scales),
        builder.tensor(op.inputs[0]),
        builder.constant(f"{op.name}/bias", bias.values, bias.scales),
    ]
    builder.operator("TRANSPOSE_CONV", 3, inputs, [made], options)


def _size(shape: tuple[int, ...]) -> Pair:
    return shape[2], shape[3]


def _kernel(op: Op) -> Pair:
    rows, columns = op.attributes["kernel_shape"]
    return rows, columns


def _strides(op: Op) -> Pair:
    rows, columns = op.attributes["strides"]
    return rows, columns


def _whole(op: Op) -> Pair:
    """(in - 1) * stride + kernel, rows and columns: the output without margins."""
    height, width = (
        (n - 1) * s + k for n, s, k in zip(_size(op.inputs[0].shape), _strides(op), _kernel(op), strict=True)
    )
    return height, width
