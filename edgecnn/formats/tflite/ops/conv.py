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
    assert op.weights is not None and op.bias is not None, "a canonical Conv has weights and a bias"
    given, padding = padded(op, builder)
    options = schema.Conv2DOptionsT()
    options.padding, options.fusedActivationFunction = padding, activation_of(op)
    options.strideH, options.strideW = op.attributes["strides"]
    options.dilationHFactor, options.dilationWFactor = op.attributes["dilations"]
    weights = builder.weights(op, op.weights, "weight", op.weights.values.transpose(0, 2, 3, 1))
    bias = builder.weights(op, op.bias, "bias", op.bias.values)
    version = 6 if op.attributes["group"] > 1 else (1 if op.weights.scales is None else 3)
    builder.operator("CONV_2D", version, [given, weights, bias], [builder.tensor(op.output)], options)


def _depthwise(op: Op, builder: Builder, multiplier: int) -> None:
    assert op.weights is not None and op.bias is not None, "a canonical Conv has weights and a bias"
    given, padding = padded(op, builder)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.fusedActivationFunction = padding, activation_of(op)
    options.strideH, options.strideW = op.attributes["strides"]
    options.dilationHFactor, options.dilationWFactor = op.attributes["dilations"]
    options.depthMultiplier = multiplier
    weights = builder.weights(op, op.weights, "weight", op.weights.values.transpose(1, 2, 3, 0), axis=3)
    bias = builder.weights(op, op.bias, "bias", op.bias.values)
    dilated = max(op.attributes["dilations"]) > 1
    version = (2 if dilated else 1) if op.weights.scales is None else 3
    builder.operator("DEPTHWISE_CONV_2D", version, [given, weights, bias], [builder.tensor(op.output)], options)
