"""MaxPool -> MAX_POOL_2D, AveragePool -> AVERAGE_POOL_2D."""

from __future__ import annotations

from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.formats.tflite.padding import is_same, margins_of, pad, padded
from edgecnn.graph.program import Op


@writes("MaxPool")
def max_pool(op: Op, builder: Builder) -> None:
    """Margins that SAME can't say hold the lowest value there is."""
    given, padding = padded(op, builder, lowest=True)
    _pool("MAX_POOL_2D", op, builder, given, padding)


@writes("AveragePool")
def average_pool(op: Op, builder: Builder) -> None:
    """SAME does not count its margins; counted ones are padded with zeros by an operator."""
    if not any(op.attributes["pads"]):
        _pool("AVERAGE_POOL_2D", op, builder, builder.tensor(op.inputs[0]), schema.Padding.VALID)
    elif op.attributes["count_include_pad"]:
        given = pad(op, builder, builder.tensor(op.inputs[0]), margins_of(op))
        _pool("AVERAGE_POOL_2D", op, builder, given, schema.Padding.VALID)
    elif is_same(op):
        _pool("AVERAGE_POOL_2D", op, builder, builder.tensor(op.inputs[0]), schema.Padding.SAME)
    else:
        raise UsageError(
            f"layer '{op.name}': TFLite can't say an average pool with margins {op.attributes['pads']} that are not "
            "counted; use padding same or valid"
        )


def _pool(code: str, op: Op, builder: Builder, given: int, padding: int) -> None:
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = op.attributes["strides"]
    options.filterHeight, options.filterWidth = op.attributes["kernel_shape"]
    version = 1 if op.output.grid is None else 2
    builder.operator(code, version, [given], [builder.tensor(op.output)], options)
