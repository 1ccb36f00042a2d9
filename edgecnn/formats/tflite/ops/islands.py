"""L2Pool, StochasticPool: float operators, with DEQUANTIZE in front and QUANTIZE behind in an int8 file."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import Builder, nhwc, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.formats.tflite.padding import is_same
from edgecnn.graph.program import Op


@writes("L2Pool")
def l2_pool(op: Op, builder: Builder) -> None:
    """sqrt(mean(x^2)) of each window, over the pixels that exist."""
    given, made = _float_input(op, builder), _float_output(op, builder)
    builder.operator("L2_POOL_2D", 1, [given], [made], _window(op))
    _round(op, builder, made)


@writes("StochasticPool")
def stochastic_pool(op: Op, builder: Builder) -> None:
    """mean(p * p) / mean(p) of each window, p = max(x, least)."""
    given, made = _float_input(op, builder), _float_output(op, builder)
    large, small = nhwc(op.inputs[0].shape), nhwc(op.output.shape)
    positive, square = (builder.intermediate(f"{op.name}/{name}", large, None) for name in ("positive", "square"))
    weighted, weight = (builder.intermediate(f"{op.name}/{name}", small, None) for name in ("weighted", "weight"))
    least = builder.constant(f"{op.name}/least", np.array([op.attributes["least"]], np.float32))
    builder.operator("MAXIMUM", 1, [given, least], [positive], schema.MaximumMinimumOptionsT())
    builder.operator("MUL", 1, [positive, positive], [square], schema.MulOptionsT())
    builder.operator("AVERAGE_POOL_2D", 1, [square], [weighted], _window(op))
    builder.operator("AVERAGE_POOL_2D", 1, [positive], [weight], _window(op))
    builder.operator("DIV", 1, [weighted, weight], [made], schema.DivOptionsT())
    _round(op, builder, made)


def _window(op: Op) -> schema.Pool2DOptionsT:
    attributes = op.attributes
    if any(attributes["pads"]) and (attributes["count_include_pad"] or not is_same(op)):
        raise UsageError(
            f"layer '{op.name}': TFLite can't say a pool with margins {attributes['pads']}; use same or valid"
        )
    options = schema.Pool2DOptionsT()
    options.padding = schema.Padding.SAME if any(attributes["pads"]) else schema.Padding.VALID
    options.strideH, options.strideW = attributes["strides"]
    options.filterHeight, options.filterWidth = attributes["kernel_shape"]
    return options


def _float_input(op: Op, builder: Builder) -> int:
    source = op.inputs[0]
    if op.output.grid is None or source.grid is None:
        return builder.tensor(source)
    made = builder.intermediate(f"{op.name}/float", nhwc(source.shape), None)
    builder.operator("DEQUANTIZE", 2, [builder.tensor(source)], [made], schema.DequantizeOptionsT())
    return made


def _float_output(op: Op, builder: Builder) -> int:
    if op.output.grid is None:
        return builder.tensor(op.output)
    return builder.intermediate(f"{op.name}/exact", nhwc(op.output.shape), None)


def _round(op: Op, builder: Builder, exact: int) -> None:
    if op.output.grid is not None:
        builder.operator("QUANTIZE", 1, [exact], [builder.tensor(op.output)], schema.QuantizeOptionsT())
