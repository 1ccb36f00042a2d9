"""Conv -> CONV_2D (weights OHWI) or DEPTHWISE_CONV_2D (weights 1HWC)."""

from __future__ import annotations

from edgecnn.formats.tflite.builder import Builder, activation_of, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.formats.tflite.padding import padded
from edgecnn.graph.program import Op


@writes("Conv")
def conv(op: Op, builder: Builder) -> None:
    """Square or not, strided, dilated, grouped; as many groups as channels is depthwise."""
    channels, groups = op.inputs[0].shape[1], op.attributes["group"]
    if groups == channels and groups > 1:
        _depthwise(op, builder, multiplier=op.output.shape[1] // channels)
    else:
        _conv(op, builder)


def _conv(op: Op, builder: Builder) -> None:
    weight, bias = op.constants
    given, padding = padded(op, builder)
    options = schema.Conv2DOptionsT()
    options.padding, options.fusedActivationFunction = padding, activation_of(op)
    options.strideH, options.strideW = op.attributes["strides"]
    options.dilationHFactor, options.dilationWFactor = op.attributes["dilations"]
    inputs = [
        given,
        builder.constant(f"{op.name}/weight", weight.values.transpose(0, 2, 3, 1), weight.scales),
        builder.constant(f"{op.name}/bias", bias.values, bias.scales),
    ]
    version = 6 if op.attributes["group"] > 1 else (1 if weight.scales is None else 3)
    builder.operator("CONV_2D", version, inputs, [builder.tensor(op.output)], options)


def _depthwise(op: Op, builder: Builder, multiplier: int) -> None:
    weight, bias = op.constants
    given, padding = padded(op, builder)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.fusedActivationFunction = padding, activation_of(op)
    options.strideH, options.strideW = op.attributes["strides"]
    options.dilationHFactor, options.dilationWFactor = op.attributes["dilations"]
    options.depthMultiplier = multiplier
    inputs = [
        given,
        builder.constant(f"{op.name}/weight", weight.values.transpose(1, 2, 3, 0), weight.scales, axis=3),
        builder.constant(f"{op.name}/bias", bias.values, bias.scales),
    ]
    dilated = max(op.attributes["dilations"]) > 1
    version = (2 if dilated else 1) if weight.scales is None else 3
    builder.operator("DEPTHWISE_CONV_2D", version, inputs, [builder.tensor(op.output)], options)
