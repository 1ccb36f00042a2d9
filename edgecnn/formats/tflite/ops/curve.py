"""Tanh -> TANH, LeakyRelu -> LEAKY_RELU, Gelu -> GELU."""

from __future__ import annotations

from typing import Any

from edgecnn.formats.tflite.builder import Builder, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import Op


@writes("Tanh")
def tanh(op: Op, builder: Builder) -> None:
    """Its int8 grid is fixed at 1/128, zero point 0, by the LiteRT 8-bit quantization specification."""
    _write("TANH", op, builder)


@writes("LeakyRelu")
def leaky_relu(op: Op, builder: Builder) -> None:
    """x, or alpha * x below zero."""
    options = schema.LeakyReluOptionsT()
    options.alpha = op.attributes.get("alpha", 0.01)
    _write("LEAKY_RELU", op, builder, options)


@writes("Gelu")
def gelu(op: Op, builder: Builder) -> None:
    """x * Phi(x), or its tanh approximation where the graph has that (arXiv:1606.08415)."""
    options = schema.GeluOptionsT()
    options.approximate = op.attributes.get("approximate", "none") == "tanh"
    _write("GELU", op, builder, options)


def _write(code: str, op: Op, builder: Builder, options: Any = None) -> None:
    version = 1 if op.output.grid is None else 2
    builder.operator(code, version, [builder.tensor(op.inputs[0])], [builder.tensor(op.output)], options)
