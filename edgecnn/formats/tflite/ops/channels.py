"""Concat -> CONCATENATION, Slice -> SLICE, ChannelShuffle -> TRANSPOSE, over channels, TFLite's last axis."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import Builder, nhwc, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op, Tensor


@writes("Concat")
def concatenate(op: Op, builder: Builder) -> None:
    """One tensor behind the other; one that lies on another grid is brought to the output's first."""
    if op.attributes["axis"] % len(op.output.shape) != 1 or any(_pixels_mixed(given) for given in op.inputs):
        raise UsageError(f"layer '{op.name}': only channels, or features, can be concatenated")
    options = schema.ConcatenationOptionsT()
    options.axis = len(op.output.shape) - 1
    inputs = [_on_grid(op, builder, place, given) for place, given in enumerate(op.inputs)]
    version = 1 if op.output.grid is None else 2
    builder.operator("CONCATENATION", version, inputs, [builder.tensor(op.output)], options)


def _pixels_mixed(given: Tensor) -> bool:
    """Whether features come from more than one pixel: their order in the file is another one."""
    return given.flattened is not None and given.flattened[1:] != (1, 1)


def _on_grid(op: Op, builder: Builder, place: int, given: Tensor) -> int:
    if given.grid == op.output.grid:
        return builder.tensor(given)
    moved = builder.intermediate(f"{op.name}/input{place}", nhwc(given.shape), op.output.grid)
    builder.operator("QUANTIZE", 2, [builder.tensor(given)], [moved], schema.QuantizeOptionsT())
    return moved


@writes("Slice")
def cut_channels(op: Op, builder: Builder) -> None:
    """Channels from `start` to `end`."""
    start, size = [0, 0, 0, op.attributes["start"]], nhwc(op.output.shape)
    inputs = [
        builder.tensor(op.inputs[0]),
        builder.constant(f"{op.name}/begin", np.array(start, np.int32)),
        builder.constant(f"{op.name}/size", np.array(size, np.int32)),
    ]
    version = 1 if op.output.grid is None else 2
    builder.operator("SLICE", version, inputs, [builder.tensor(op.output)], schema.SliceOptionsT())


@writes("ChannelShuffle")
def shuffle_channels(op: Op, builder: Builder) -> None:
    """[N, H, W, groups, each] -> [N, H, W, each, groups]."""
    groups, grid = op.attributes["groups"], op.output.grid
    *pixels, channels = nhwc(op.output.shape)
    apart, swapped = (*pixels, groups, channels // groups), (*pixels, channels // groups, groups)
    before = builder.intermediate(f"{op.name}/groups", apart, grid)
    after = builder.intermediate(f"{op.name}/swapped", swapped, grid)
    _reshape(op, builder, builder.tensor(op.inputs[0]), before, apart)
    swap = builder.constant(f"{op.name}/swap", np.array([0, 1, 2, 4, 3], np.int32))
    version = 1 if grid is None else 2
    builder.operator("TRANSPOSE", version, [before, swap], [after], schema.TransposeOptionsT())
    _reshape(op, builder, after, builder.tensor(op.output), nhwc(op.output.shape))


def _reshape(op: Op, builder: Builder, given: int, made: int, shape: tuple[int, ...]) -> None:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    wanted = builder.constant(f"{op.name}/shape{len(shape)}", np.array(shape, np.int32))
    builder.operator("RESHAPE", 1, [given, wanted], [made], options)
