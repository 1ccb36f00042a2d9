"""Gemm -> FULLY_CONNECTED, its columns put in the order that features have after an NHWC flatten."""

from __future__ import annotations

from edgecnn.formats.tflite.builder import Builder, activation_of, schema
from edgecnn.formats.tflite.layout import feature_order
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("Gemm")
def dense(op: Op, builder: Builder) -> None:
    """x @ W.T + b; W is [units, features], on one scale: per-channel ones need version 12, which old engines lack."""
    weight, bias = op.constants
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = activation_of(op)
    inputs = [
        builder.tensor(op.inputs[0]),
        builder.constant(f"{op.name}/weight", weight.values[:, feature_order(op.inputs[0])], weight.scales),
        builder.constant(f"{op.name}/bias", bias.values, bias.scales),
    ]
    version = 1 if weight.scales is None else 4
    builder.operator("FULLY_CONNECTED", version, inputs, [builder.tensor(op.output)], options)
