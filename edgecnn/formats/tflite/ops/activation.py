"""Relu and Clip(0, 6) that stand alone -> RELU, RELU6; Sigmoid, HardSwish -> LOGISTIC, HARD_SWISH; Softmax -> SOFTMAX.

HardSigmoid has no operator: ADD(3) with RELU6, then MUL(1/6), on grids of which the second is a sixth of the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecnn.formats.tflite.builder import Builder, nhwc, schema
from edgecnn.formats.tflite.ops import writes
from edgecnn.graph.program import ACTIVATIONS, Grid, Op

FIXED = Grid(1.0 / 256.0, 0)
"""Of SOFTMAX and LOGISTIC, by the LiteRT 8-bit quantization specification."""


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
    _on_fixed_grid("SOFTMAX", version, op, builder, options)


@writes("Sigmoid")
def sigmoid(op: Op, builder: Builder) -> None:
    """Its int8 grid is fixed at 1/256."""
    version = 1 if op.output.grid is None else 2
    _on_fixed_grid("LOGISTIC", version, op, builder)


def _on_fixed_grid(code: str, version: int, op: Op, builder: Builder, options: Any = None) -> None:
    """An operator whose int8 output LiteRT fixes at 1/256, and a QUANTIZE behind it where the graph's grid is another.

    Symmetric activations have half as many steps for 0..1: rounding twice moves an eighth of the values by one of them.
    """
    given, made = builder.tensor(op.inputs[0]), builder.tensor(op.output)
    if op.output.grid in (None, FIXED):
        builder.operator(code, version, [given], [made], options)
        return
    fine = builder.intermediate(f"{op.name}/fixed", nhwc(op.output.shape), FIXED)
    builder.operator(code, version, [given], [fine], options)
    builder.operator("QUANTIZE", 2, [fine], [made], schema.QuantizeOptionsT())


@writes("HardSwish")
def hard_swish(op: Op, builder: Builder) -> None:
    """x * relu6(x + 3) / 6 (arXiv:1905.02244)."""
    builder.operator(
        "HARD_SWISH", 1, [builder.tensor(op.inputs[0])], [builder.tensor(op.output)], schema.HardSwishOptionsT()
    )


@writes("HardSigmoid")
def hard_sigmoid(op: Op, builder: Builder) -> None:
    """relu6(x + 3) / 6."""
    given, grid = op.inputs[0], op.output.grid
    clipped_grid = None if grid is None else Grid(6.0 * grid.scale, grid.zero_point)
    clipped = builder.intermediate(f"{op.name}/relu6", nhwc(given.shape), clipped_grid)
    three, sixth = (_number(builder, f"{op.name}/{name}", value, grid) for name, value in (("3", 3.0), ("6th", 1 / 6)))
    adding, scaling = schema.AddOptionsT(), schema.MulOptionsT()
    adding.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    version = 1 if grid is None else 2
    builder.operator("ADD", version, [builder.tensor(given), three], [clipped], adding)
    builder.operator("MUL", version, [clipped, sixth], [builder.tensor(op.output)], scaling)


def _number(builder: Builder, name: str, value: float, grid: Grid | None) -> int:
    """One number; in int8 it is 127 steps of value / 127."""
    if grid is None:
        return builder.constant(name, np.array([value], np.float32))
    return builder.constant(name, np.array([127], np.int8), np.array([value / 127.0], np.float32))
