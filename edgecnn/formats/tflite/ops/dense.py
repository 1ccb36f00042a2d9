"""Gemm -> FULLY_CONNECTED, its columns put in the order that features have after an NHWC flatten."""

from __future__ import annotations

from edgecnn.formats.tflite.builder import Builder, activation_of, schema
from edgecnn.formats.tflite.layout import feature_order
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("Gemm")
def dense(op: Op, builder: Builder) -> None:
    """x @ W.T + b; W is [units, features], on one scale: per-channel ones need version 12, which old engines lack."""
    assert op.weights is not None and op.bias is not None, "a canonical Gemm has weights and a bias"
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = activation_of(op)
    values = op.weights.values[:, feature_order(op.inputs[0])]
    inputs = [
        builder.tensor(op.inputs[0]),
        builder.weights(op, op.weights, "weight", values),
        builder.weights(op, op.bias, "bias", op.bias.values),
    ]
    version = 1 if op.weights.scales is None else 4
    builder.operator("FULLY_CONNECTED", version, inputs, [builder.tensor(op.output)], options)
