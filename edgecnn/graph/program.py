"""Reading a canonical graph, fp32 or QDQ, as a list of operations: what formats/ writes and quantize/ decides on.

In a QDQ graph the quantize and dequantize nodes turn into grids on the tensors between operations; an activation that
alone follows an operation belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.nodes import WEIGHTED
from edgecnn.graph.edit import Array, Graph, Node, Shape, Value
from edgecnn.graph.islands import Island, island_at

ACTIVATIONS = {"Relu": "relu", "Clip": "relu6"}
FUSES_ACTIVATION = (*WEIGHTED, "Add")
MOVES_VALUES = ("MaxPool", "AveragePool", "ReduceMax", "Flatten", "Slice", "ChannelShuffle", "Resize", "Gather")
"""Operations whose output lies on their input's grid."""
GLOBAL_POOLS = ("GlobalAveragePool", "ReduceMax")
SHIFT = 128
"""int8 is the uint8 grid, this much lower."""
SIGNED_FRONT = ("Cast", "Sub", "Mul", "Transpose", "QuantizeLinear", "DequantizeLinear")
"""What symmetric activations begin with: (pixel - 128) / 128 in floats, which is then rounded to int8."""
SIGNED_END = ("DequantizeLinear", "Add", "Cast")
"""What they end in behind the last rounding: the integers themselves, 128 higher, as uint8."""


@dataclass(frozen=True)
class Grid:
    """A uint8 grid: value = scale * (q - zero_point). TFLite's int8 is the same grid, shifted by 128.

    So is the int8 of a graph with symmetric activations: its zero point 0 is 128 here.
    """

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Tensor:
    """A value between operations, named after the layer that makes it.

    `shape` is in ONNX's order ([N, C, H, W] or [N, F]); `value` is its name in the graph (uint8 where there is a
    grid); `flattened` says from which (C, H, W) the features of an [N, F] tensor came, where a file may hold them in
    another order: whoever takes them puts that right. Nobody does behind the net, so what is flattened for its output
    is None, and lies in the graph's order in every file.
    """

    name: str
    shape: Shape
    value: str
    grid: Grid | None = None
    flattened: tuple[int, int, int] | None = None
    unrounded: str = ""
    """Of a tensor on a grid that an operation makes: the name of its float value before it is rounded."""
    signed: bool = False
    """Whether the graph holds it as int8, 128 lower than its grid."""


@dataclass(frozen=True)
class Constant:
    """Weights or a bias: floats, or integers with a scale for each slice along axis 0, that of the filters."""

    values: Array
    scales: Array | None = None


@dataclass(frozen=True)
class Op:
    """One operation with everything that belongs to it."""

    type: str
    name: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    weights: Constant | None = None
    bias: Constant | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    activation: str | None = None

    @property
    def constants(self) -> tuple[Constant, Constant]:
        """Weights and bias; ValueError for an operation that has none."""
        if self.weights is None or self.bias is None:
            raise ValueError(f"{self.type} '{self.name}' has no weights")
        return self.weights, self.bias


@dataclass(frozen=True)
class Program:
    """A network from image (uint8 pixels; its shape is given as [N, C, H, W]) to output."""

    image: Tensor
    ops: tuple[Op, ...]
    output: Tensor
    float_answers: bool = False
    """Whether the output is dequantized: float32 values on its grid."""

    @property
    def pixels(self) -> Grid:
        """The image's grid; it always has one."""
        if self.image.grid is None:
            raise ValueError("the image is not uint8")
        return self.image.grid

    def consumers(self, tensor: Tensor) -> list[Op]:
        """The operations that take a tensor."""
        return [op for op in self.ops if any(given.value == tensor.value for given in op.inputs)]

    def gives_features(self, op: Op) -> bool:
        """Whether it is a global pool whose [N, C, 1, 1] is only ever taken as features [N, C]."""
        return op.type in GLOBAL_POOLS and all(taker.type == "Flatten" for taker in self.consumers(op.output))

    def is_nothing(self, op: Op) -> bool:
        """Whether it is the flatten behind such a pool."""
        if op.type != "Flatten":
            return False
        return any(self.gives_features(made) for made in self.ops if made.output == op.inputs[0])


def shifted(values: Array) -> Array:
    """int8 on a grid as uint8, 128 higher, or the other way."""
    other = np.int8 if values.dtype == np.uint8 else np.uint8
    return np.asarray((np.ascontiguousarray(values).view(np.uint8) ^ np.uint8(SHIFT)).view(other))


def read_program(graph: Graph) -> Program:
    """The operations of a canonical graph; UsageError where it is not canonical."""
    return _Reader(graph).read()


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.done: set[str] = set()

    def read(self) -> Program:
        image = self._front()
        for node in self.graph.nodes:
            if node.op in ("QuantizeLinear", "DequantizeLinear") or node.name in self.done:
                continue
            island = island_at(self.graph, node)
            if island is not None:
                self._island(island)
            elif self._is_half(node):
                self.tensors[node.output] = self.tensors[node.inputs[0]]
            elif node.op == "Reshape":
                self._shuffle(node)
            else:
                self._operation(node)
        (answer,) = self.graph.outputs
        output = self.tensors[answer.name]
        return Program(image, tuple(self.ops), output, output.grid is not None and answer.dtype == TensorProto.FLOAT)

    def _front(self) -> Tensor:
        (image,) = self.graph.inputs
        if self.graph.only_consumer(image.name, "Cast") is not None:
            return self._signed_front(image)
        pixels = self.graph.only_consumer(image.name, "DequantizeLinear")
        planes = self.graph.only_consumer(pixels.output, "Transpose") if pixels else None
        if pixels is None or planes is None or planes.attributes["perm"] != [0, 3, 1, 2]:
            raise UsageError("the graph does not begin with image -> DequantizeLinear -> Transpose to NCHW")
        count, height, width, channels = image.shape
        tensor = Tensor(image.name, (count, channels, height, width), image.name, self._grid(pixels))
        self.tensors |= dict.fromkeys((image.name, pixels.output, planes.output), tensor)
        self.done.add(planes.name)
        return tensor

    def _signed_front(self, image: Value) -> Tensor:
        chain = self._chain(image.name, SIGNED_FRONT)
        if chain is None or chain[3].attributes["perm"] != [0, 3, 1, 2]:
            raise UsageError(f"the graph does not begin with image -> {' -> '.join(SIGNED_FRONT)}")
        _, shift, step, _, rounding, _ = chain
        grid = Grid(float(self.graph.constants[step.inputs[1]]), int(self.graph.constants[shift.inputs[1]]))
        if self._grid(rounding) != grid:
            raise UsageError(f"the image is rounded to another grid than that of its pixels, {grid}")
        count, height, width, channels = image.shape
        tensor = Tensor(image.name, (count, channels, height, width), image.name, grid)
        self.tensors |= dict.fromkeys((image.name, *(node.output for node in chain)), tensor)
        self.done |= {node.name for node in chain}
        return tensor

    def _is_half(self, node: Node) -> bool:
        """Whether it is a Cast into float16 or out of it, whose values are those that it takes."""
        if node.op != "Cast":
            return False
        return TensorProto.FLOAT16 in (node.attributes["to"], self.graph.dtypes.get(node.inputs[0]))

    def _chain(self, value: str, ops: Sequence[str]) -> list[Node] | None:
        """The nodes behind a value that alone take each other's output, or None where they are others."""
        found: list[Node] = []
        for op in ops:
            node = self.graph.only_consumer(value, op)
            if node is None:
                return None
            found.append(node)
            value = node.output
        return found

    def _shuffle(self, first: Node) -> None:
        """Reshape, Transpose, Reshape: one operation, called after the last of them."""
        swap = self.graph.consumers(first.output)[0]
        last = self.graph.consumers(swap.output)[0]
        self.done |= {swap.name, last.name}
        inputs = (self.tensors[first.inputs[0]],)
        groups = {"groups": self.graph.shapes[first.output][1]}
        self.ops.append(Op("ChannelShuffle", last.name, inputs, self._output(last, last, inputs), attributes=groups))

    def _island(self, island: Island) -> None:
        """Several nodes that are one operation in floats, called after the last of them."""
        self.done |= {node.name for node in island.nodes}
        inputs, last = (self.tensors[island.source],), island.last
        output = self._output(last, last, inputs)
        self.ops.append(Op(island.type, last.name, inputs, output, attributes=island.attributes))

    def _operation(self, node: Node) -> None:
        inputs = tuple(self.tensors[name] for name in node.inputs if name and self._constant(name) is None)
        constants = [c for name in node.inputs if (c := self._constant(name)) is not None]
        last, activation = node, None
        follower = self.graph.only_consumer(node.output, *ACTIVATIONS) if node.op in FUSES_ACTIVATION else None
        if follower is not None:
            last, activation = follower, ACTIVATIONS[follower.op]
            self.done.add(follower.name)
        output = self._output(node, last, inputs)
        weighted = node.op in WEIGHTED
        if node.op == "ConvTranspose":
            constants[0] = Constant(constants[0].values.swapaxes(0, 1), constants[0].scales)
        if weighted and constants[0].scales is not None and constants[1].scales is None:
            constants[1] = _in_steps(constants[1], constants[0].scales, inputs[0])
        self.ops.append(
            Op(
                node.op,
                node.name,
                inputs,
                output,
                weights=constants[0] if weighted else None,
                bias=constants[1] if weighted else None,
                attributes={**node.attributes, **self._places(node)},
                activation=activation,
            )
        )

    def _places(self, node: Node) -> dict[str, Any]:
        """The constants of a Slice over channels, or of a Gather of rows or columns."""
        if node.op == "Gather":
            return {"places": self.graph.constants[node.inputs[1]].tolist()}
        if node.op != "Slice":
            return {}
        start, end = (int(self.graph.constants[name][0]) for name in node.inputs[1:3])
        return {"start": start, "end": end}

    def _output(self, node: Node, last: Node, inputs: tuple[Tensor, ...]) -> Tensor:
        shape = self.graph.shapes[last.output]
        if node.op == "Flatten" and not self._is_answer(last.output, inputs[0].shape):
            flattened: tuple[int, int, int] | None = (inputs[0].shape[1], inputs[0].shape[2], inputs[0].shape[3])
        else:
            flattened = inputs[0].flattened if node.op not in ("Gemm", "Flatten") and len(shape) == 2 else None
        quantize = self.graph.only_consumer(last.output, "QuantizeLinear")
        if quantize is None:
            tensor = Tensor(node.name, shape, last.output, None, flattened)
            self.tensors[last.output] = tensor
            return tensor
        grid, signed = self._grid(quantize), self._is_signed(quantize)
        end = self._chain(quantize.output, SIGNED_END) if signed else None
        if end is not None and end[-1].output == self.graph.outputs[0].name:
            value = end[-1].output
            self.done |= {made.name for made in end}
            tensor = Tensor(node.name, shape, value, grid, flattened, last.output)
            self.tensors[value] = tensor
            return tensor
        tensor = Tensor(node.name, shape, quantize.output, grid, flattened, last.output, signed)
        self.tensors[quantize.output] = tensor
        for dequantize in self.graph.consumers(quantize.output):
            self.tensors[dequantize.output] = tensor
        return tensor

    def _is_answer(self, value: str, shape: Shape) -> bool:
        """Whether the features of a map of several places reach the net's output with no dense layer between."""
        if math.prod(shape[2:]) == 1:
            return False
        reached, open_ends = {value}, [value]
        while open_ends:
            takers = (node for node in self.graph.consumers(open_ends.pop()) if node.op != "Gemm")
            new = {node.output for node in takers} - reached
            reached |= new
            open_ends += new
        return self.graph.outputs[0].name in reached

    def _grid(self, node: Node) -> Grid:
        scale, zero = (self.graph.constants[name] for name in node.inputs[1:3])
        return Grid(float(scale), int(zero) + (SHIFT if self._is_signed(node) else 0))

    def _is_signed(self, node: Node) -> bool:
        return bool(self.graph.constants[node.inputs[2]].dtype == np.int8)

    def _constant(self, name: str) -> Constant | None:
        if name in self.graph.constants:
            return Constant(self.graph.constants[name])
        node = self.graph.producer(name)
        if node is None or node.op != "DequantizeLinear" or node.inputs[0] not in self.graph.constants:
            return None
        scales = np.atleast_1d(self.graph.constants[node.inputs[1]])
        return Constant(self.graph.constants[node.inputs[0]], scales)


def _in_steps(bias: Constant, weight_scales: Array, given: Tensor) -> Constant:
    """A bias that a graph with symmetric activations keeps as floats, in the steps of its sums, which it lies on."""
    assert given.grid is not None, "where weights have scales, so have activations"
    scales = (np.float32(given.grid.scale) * weight_scales).astype(np.float32)
    return Constant(np.rint(bias.values.astype(np.float64) / scales).astype(np.int32), scales)
