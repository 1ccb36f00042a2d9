"""Whole numbers throughout: an int8 file computes (sum + bias) * M and rounds it, as ONNX Runtime and LiteRT do.

As OpenVINO converts a graph, a layer's integer sum is multiplied by the scales of its input and weights, the bias is
added as a float, and a FakeQuantize divides by the output's scale while it shifts and rounds: three roundings of
float32 where there need be one, and so other steps than everybody else's wherever a value lies close to the middle
between two. Deep nets amplify each.

So a rounded value that goes into a layer with weights is q - zero point. Of the scales M is left, a factor a channel
behind the layer: scale of input * scale of weights / scale of output. Whoever else takes the value takes it times its
scale. `implied_scale` holds M against the graph's scales; those by which a file is read without its graph stand in its
rt_info.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecnn.formats.openvino.tensors import LEVELS, WEIGHTED, is_nameless, number, sole_taker, takers, tensor_name
from edgecnn.graph.edit import Array
from edgecnn.graph.program import Grid, Op, Program

MOVERS = ("Concat", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
"""What gives its inputs' values as they are."""
STEP = np.float32(2)
"""What integer weights are multiplied by, and biases: not 1, which OpenVINO may leave out, and with it what makes them
int8. Sums stay whole, and a power of two loses nothing."""
RT_INFO = ("edgecnn", "scales")
"""Where a file says the scales of its whole numbers: JSON, by name of the FakeQuantize."""


def compute_in_whole_numbers(openvino: Any, model: Any, program: Program) -> None:
    """Change a model that was converted from a quantized graph; `program` is that of the graph."""
    grids = {tensor_name(op.output): op.output.grid for op in program.ops if op.output.grid is not None}
    grids |= {node.get_friendly_name(): program.pixels for node in _pixels(model)}
    grids |= _round_before_joining(openvino, model, program)
    layers = integer_layers(model, program)
    whole = whole_values(model, grids, layers)
    rewriter = _Rewriter(openvino, layers, whole)
    for node in model.get_ordered_ops():
        if node.get_friendly_name() in whole:
            rewriter.give_whole(node)
        if node.get_friendly_name() in layers and node.input_value(0).get_node().get_friendly_name() in whole:
            rewriter.layer(node)
    model.set_rt_info(json.dumps(rewriter.scales), list(RT_INFO))


def _pixels(model: Any) -> list[Any]:
    """The FakeQuantize of the image itself, where it has one."""
    node: Any | None = model.get_parameters()[0]
    while node is not None and node.get_type_name() != "FakeQuantize":
        node = sole_taker(node.output(0), "Convert", "Subtract", "Multiply", "Transpose", "FakeQuantize")
    return [] if node is None else [node]


def _round_before_joining(openvino: Any, model: Any, program: Program) -> dict[str, Grid]:
    """Put the rounding behind a Concat in front of it, where the graph has it too: behind each layer that feeds it.

    The last Concat comes first: what it takes unrounded of another has one taker less then, the rounding.
    Gives the grids of the new FakeQuantizes by name.
    """
    rounded = {name: tensor_name(op.output) for op in program.ops for name in (op.output.unrounded, op.output.name)}
    grids = {tensor_name(op.output): op.output.grid for op in program.ops if op.type == "Concat"}
    made: dict[str, Grid] = {}
    for joined in reversed(model.get_ordered_ops()):
        rounding = sole_taker(joined.output(0), "FakeQuantize") if joined.get_type_name() == "Concat" else None
        if rounding is None or (grid := grids.get(rounding.get_friendly_name())) is None:
            continue
        for given in joined.inputs():
            inner = _rounded_once(openvino, given.get_source_output(), rounding, rounded)
            made[inner.get_friendly_name()] = grid
            given.replace_source_output(inner.output(0))
        joined.output(0).set_names(rounding.output(0).get_names())
        for target in rounding.output(0).get_target_inputs():
            target.replace_source_output(joined.output(0))
    return made


def _rounded_once(openvino: Any, source: Any, rounding: Any, rounded: Mapping[str, str]) -> Any:
    """A value behind a FakeQuantize with the ends of another: its own, one that others take already, or a new one."""
    ends = [number(rounding, place) for place in range(1, 5)]
    for node in (source.get_node(), *takers(source)):
        if node.get_type_name() == "FakeQuantize" and ends == [number(node, place) for place in range(1, 5)]:
            return node
    made = openvino.opset8.fake_quantize(source, *(rounding.input_value(place) for place in range(1, 5)), LEVELS)
    first = source.get_node().get_friendly_name()
    name = next((rounded[name] for name in (*source.get_names(), first) if name in rounded), f"{first}.joined")
    made.set_friendly_name(name)
    made.output(0).set_names({name})
    return made


def integer_layers(model: Any, program: Program) -> dict[str, Op]:
    """The layers with integer weights, by name of the node that multiplies; the bias behind it bears the layer's."""
    by_name = {op.name: op for op in program.ops if op.weights is not None and op.weights.scales is not None}
    found: dict[str, Op] = {}
    for node in model.get_ops():
        if node.get_type_name() in WEIGHTED:
            added = sole_taker(node.output(0), "Add")
            names = [each.get_friendly_name() for each in (added, node) if each is not None]
            found |= {node.get_friendly_name(): by_name[name] for name in names if name in by_name}
    return found


def whole_values(model: Any, grids: Mapping[str, Grid], layers: Mapping[str, Op]) -> dict[str, Grid]:
    """Which values can be whole numbers, and go into a layer with weights: their grids, by name of what makes them."""
    able: dict[str, Grid] = {}
    for node in model.get_ordered_ops():
        name, kind = node.get_friendly_name(), node.get_type_name()
        if kind == "FakeQuantize" and name in grids and node.get_attributes()["levels"] == LEVELS:
            able[name] = grids[name]
        elif kind in MOVERS:
            sources = [node.input_value(i).get_node() for i in range(node.get_input_size())]
            given = {able.get(each.get_friendly_name()) for each in sources if each.get_type_name() != "Constant"}
            if len(given) == 1 and (grid := given.pop()) is not None:
                able[name] = grid
    wanted: dict[str, Grid] = {}
    for node in reversed(model.get_ordered_ops()):
        name = node.get_friendly_name()
        targets = node.output(0).get_target_inputs() if name in able else ()
        if any(takes_whole(target, wanted, layers) for target in targets):
            wanted[name] = able[name]
    return wanted


def takes_whole(target: Any, whole: Mapping[str, Grid], layers: Mapping[str, Op]) -> bool:
    """Whether an input of a node takes whole numbers."""
    node = target.get_node()
    name, kind = node.get_friendly_name(), node.get_type_name()
    return (kind in MOVERS and name in whole) or (name in layers and target.get_index() == 0)


class _Rewriter:
    def __init__(self, openvino: Any, layers: Mapping[str, Op], whole: Mapping[str, Grid]) -> None:
        self.ops, self.round = openvino.opset8, importlib.import_module("openvino.opset5").round
        self.layers, self.whole = layers, whole
        self.scales: dict[str, float] = {}
        """Of each FakeQuantize that takes or gives whole numbers."""

    def give_whole(self, node: Any) -> None:
        """A FakeQuantize gives q - zero point; who needs real values takes them times the scale."""
        grid = self.whole[node.get_friendly_name()]
        if node.get_type_name() == "FakeQuantize":
            self._set_ends(node, (3, 4), grid)
        others = [
            target for target in node.output(0).get_target_inputs() if not takes_whole(target, self.whole, self.layers)
        ]
        if others:
            real = self.ops.multiply(node.output(0), self._constant(grid.scale))
            for target in others:
                target.replace_source_output(real.output(0))

    def layer(self, node: Any) -> None:
        """Sums of whole numbers, the bias among them, times M, rounded."""
        op = self.layers[node.get_friendly_name()]
        added = sole_taker(node.output(0), "Add") if node.get_friendly_name() != op.name else None
        _, bias = op.constants
        self._multiply_weights(node)
        if added is not None:
            shape = added.input_value(1).get_shape()
            added.input(1).replace_source_output(self._constant(bias.values.reshape(shape) * STEP).output(0))
        self._multiply_behind(added or node, op)

    def _multiply_weights(self, node: Any) -> None:
        """By STEP instead of their scales."""
        scaled = node.input_value(1).get_node()
        while scaled.get_type_name() != "Multiply":
            scaled = scaled.input_value(0).get_node()
        shape = scaled.input_value(1).get_shape()
        scaled.input(1).replace_source_output(self._constant(np.full(shape, STEP)).output(0))

    def _multiply_behind(self, last: Any, op: Op) -> None:
        """By M, or where nothing is rounded by the sums' scales; both in units of STEP.

        The rounding in front changes no sum. Without it OpenVINO (2026.4.1) multiplies a sum and its bias one by one
        and rounds float32 twice.
        """
        targets = last.output(0).get_target_inputs()
        activated = sole_taker(last.output(0), "Relu")
        rounding = sole_taker((activated or last).output(0), "FakeQuantize")
        scales, grid = sum_scales(op), op.output.grid
        if rounding is not None and grid is not None:
            scales = (scales / np.float32(grid.scale)).astype(np.float32)
        rank = len(last.get_output_partial_shape(0))
        shape = [1] * rank
        shape[1 if rank > 2 else -1] = scales.size
        sums = self.round(last.output(0), "half_to_even")
        product = self.ops.multiply(sums.output(0), self._constant((scales / STEP).reshape(shape)))
        for target in targets:
            target.replace_source_output(product.output(0))
        if rounding is not None and grid is not None:
            whole = self.round(rounding.input_value(0), "half_to_even")
            rounding.input(0).replace_source_output(whole.output(0))
            if is_nameless(rounding):
                rounding.set_friendly_name(f"{op.name}.dq")
            self._set_ends(rounding, (1, 2), grid)

    def _set_ends(self, rounding: Any, places: tuple[int, int], grid: Grid) -> None:
        self.scales[rounding.get_friendly_name()] = float(np.float32(grid.scale))
        for place, end in zip(places, (0, LEVELS - 1), strict=True):
            shape = rounding.input_value(place).get_shape()
            ends = self._constant(np.full(shape, end - grid.zero_point))
            rounding.input(place).replace_source_output(ends.output(0))

    def _constant(self, values: Any) -> Any:
        return self.ops.constant(np.asarray(values, np.float32))


def sum_scales(op: Op) -> Array:
    """The scale of a layer's sums by channel [O], in float32 as ONNX Runtime has it."""
    grid, scales = op.inputs[0].grid, op.constants[0].scales
    if grid is None or scales is None:
        raise ValueError(f"'{op.name}' has no integer sums")
    return np.asarray(np.float32(grid.scale) * scales.ravel().astype(np.float32), np.float32)
