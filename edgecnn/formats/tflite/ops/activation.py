"""Relu and Clip(0, 6) that stand alone -> RELU, RELU6; Softmax -> SOFTMAX."""

from __future__ import annotations

from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import ACTIVATIONS, Op


@writes(*ACTIVATIONS)
def activation(op: Op, builder: Builder) -> None:
    """Value by value, from one grid to another."""
    version = 1 if op.output.grid is None else 2
    code = ACTIVATIONS[op.type].upper()
    builder.operator(code, version, [builder.tensor(op.inputs[0])], [builder.tensor(op.output)])


@writes("Softmax")
def softmax(op: Op, builder: Builder) -> None:
    """Probabilities of [N, K] logits; its int8 grid is fixed at 1/256."""
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    version = 1 if op.output.grid is None else 2
    builder.operator("SOFTMAX", version, [builder.tensor(op.inputs[0])], [builder.tensor(op.output)], options)
