"""Small networks for tests, each as an ONNX graph and as torch functions on the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops import op_max_pool
from torch.nn import functional

from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import Graph, Node, Value, to_onnx

Array = NDArray[Any]
Margins = tuple[int, int, int, int]
"""Top, left, bottom, right: ONNX's order."""


def same(size: Sequence[int], window: Sequence[int], stride: Sequence[int]) -> Margins:
    """TensorFlow's SAME by the case distinction of its documentation, which geometry.py does not use."""
    totals = [
        max(k - s, 0) if length % s == 0 else max(k - length % s, 0)
        for length, k, s in zip(size, window, stride, strict=True)
    ]
    return totals[0] // 2, totals[1] // 2, totals[0] - totals[0] // 2, totals[1] - totals[1] // 2


def pictures(rng: np.random.Generator, count: int, height: int, width: int, channels: int = 3) -> Array:
    """uint8 [count, height, width, channels]: each with its own colour and contrast, so that means differ too."""
    colour = rng.uniform(0, 255, (count, 1, 1, channels))
    contrast = rng.uniform(0, 1, (count, 1, 1, 1))
    return np.clip(colour + contrast * rng.uniform(-160, 160, (count, height, width, channels)), 0, 255).astype(
        np.uint8
    )


class Net:
    """A network under construction. Each method adds an operation behind a value and returns the new value's name.

    The last one added is the output. `x` is the float picture [batch, channels, height, width].
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int, batch: int = 1, channels: int = 3) -> None:
        self.rng = rng
        self.probabilities = False
        """Whether the canonical form ends in a softmax."""
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.steps: list[tuple[str, Callable[..., torch.Tensor], tuple[str, ...]]] = []
        self.zeros = {"x": torch.zeros(batch, channels, height, width)}

    def __repr__(self) -> str:
        """What a failing test shows: the picture's shape and each node with its attributes."""
        nodes = [f"{n.name} = {n.op}({', '.join(n.inputs)}) {n.attributes} -> {self.shape(n.name)}" for n in self.nodes]
        return "\n".join([f"x {self.shape('x')}", *nodes])

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.zeros[name].shape)

    def add_node(
        self,
        op: str,
        name: str,
        inputs: Sequence[str],
        function: Callable[..., torch.Tensor],
        constants: Sequence[Array] = (),
        **attributes: Any,
    ) -> str:
        """An ONNX node whose constants follow its inputs, and the torch function of the inputs that it stands for."""
        names = [f"{name}.{i}" for i in range(len(constants))]
        self.constants |= dict(zip(names, constants, strict=True))
        self.nodes.append(Node(op, name, [*inputs, *names], [name], attributes, scope=name))
        self.steps.append((name, function, tuple(inputs)))
        self.zeros[name] = function(*(self.zeros[given] for given in inputs))
        return name

    def conv(
        self,
        source: str,
        name: str,
        filters: int,
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        margins: Margins = (0, 0, 0, 0),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        gain: float = 1.0,
        weights: Array | None = None,
        bias: Array | None = None,
    ) -> str:
        channels = self.shape(source)[1] // groups
        if weights is None:
            spread = gain / np.sqrt(channels * kernel[0] * kernel[1])
            weights = self.rng.normal(0, spread, (filters, channels, *kernel)).astype(np.float32)
        if bias is None:
            bias = self.rng.normal(0, 0.3 * gain, filters).astype(np.float32)
        w, b = torch.from_numpy(weights), torch.from_numpy(bias)

        def function(x: torch.Tensor) -> torch.Tensor:
            return functional.conv2d(padded(x, margins), w, b, stride, dilation=dilation, groups=groups)

        return self.add_node(
            "Conv",
            name,
            [source],
            function,
            [weights, bias],
            kernel_shape=list(kernel),
            strides=list(stride),
            pads=list(margins),
            dilations=list(dilation),
            group=groups,
        )

    def transposed_conv(
        self,
        source: str,
        name: str,
        filters: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        margins: Margins = (0, 0, 0, 0),
        longer: tuple[int, int] = (0, 0),
        gain: float = 1.0,
    ) -> str:
        """`margins` are cut off; `longer` rows and columns that nothing reaches are added at the end."""
        channels = self.shape(source)[1]
        spread = gain / np.sqrt(channels * max(1, kernel[0] * kernel[1] // (stride[0] * stride[1])))
        weights = self.rng.normal(0, spread, (channels, filters, *kernel)).astype(np.float32)
        bias = self.rng.normal(0, 0.3 * gain, filters).astype(np.float32)
        w, b = torch.from_numpy(weights), torch.from_numpy(bias)
        top, left, bottom, right = margins

        def function(x: torch.Tensor) -> torch.Tensor:
            made = functional.conv_transpose2d(x, w, b, stride, output_padding=longer)
            return made[:, :, top : made.shape[2] - bottom, left : made.shape[3] - right]

        return self.add_node(
            "ConvTranspose",
            name,
            [source],
            function,
            [weights, bias],
            kernel_shape=list(kernel),
            strides=list(stride),
            pads=list(margins),
            output_padding=list(longer),
        )

    def resize(self, source: str, name: str, factors: tuple[int, int], mode: str) -> str:
        def function(x: torch.Tensor) -> torch.Tensor:
            if mode == "nearest":
                return x.repeat_interleave(factors[0], 2).repeat_interleave(factors[1], 3)
            return functional.interpolate(x, scale_factor=factors, mode="bilinear", align_corners=False)

        places = {"nearest": "asymmetric", "linear": "half_pixel"}[mode]
        more = {"nearest_mode": "floor"} if mode == "nearest" else {}
        scales = np.array([1, 1, *factors], np.float32)
        self.constants[f"{name}.scales"] = scales
        self.add_node("Resize", name, [source], function, mode=mode, coordinate_transformation_mode=places, **more)
        self.nodes[-1].inputs += ["", f"{name}.scales"]
        return name

    def gather(self, source: str, name: str, places: Sequence[int], axis: int) -> str:
        """Rows (axis 2) or columns (axis 3)."""
        which = torch.tensor(places)
        return self.add_node(
            "Gather", name, [source], lambda x: x.index_select(axis, which), [np.array(places, np.int64)], axis=axis
        )

    def l2_pool(
        self, source: str, name: str, kernel: tuple[int, int], stride: tuple[int, int], margins: Margins = (0, 0, 0, 0)
    ) -> str:
        """The root of the mean of a window's squares."""
        square = self.add_node("Mul", f"{name}_square", [source, source], torch.mul)
        mean = self.average_pool(square, f"{name}_mean", kernel, stride, margins)
        return self.add_node("Sqrt", name, [mean], torch.sqrt)

    def stochastic_pool(self, source: str, name: str, kernel: tuple[int, int], stride: tuple[int, int]) -> str:
        """The mean of a window weighted by its own values; those below zero count nothing."""
        least = np.array(1e-6, np.float32)
        made = self.add_node("Max", f"{name}_positive", [source], lambda x: torch.clamp(x, min=1e-6), [least])
        square = self.add_node("Mul", f"{name}_square", [made, made], torch.mul)
        weighted = self.average_pool(square, f"{name}_weighted", kernel, stride)
        weight = self.average_pool(made, f"{name}_weight", kernel, stride)
        return self.add_node("Div", name, [weighted, weight], torch.div)

    def dense(self, source: str, name: str, units: int, gain: float = 1.0) -> str:
        features = self.shape(source)[1]
        weights = self.rng.normal(0, gain / np.sqrt(features), (units, features)).astype(np.float32)
        bias = self.rng.normal(0, 0.3 * gain, units).astype(np.float32)
        w, b = torch.from_numpy(weights), torch.from_numpy(bias)
        return self.add_node("Gemm", name, [source], lambda x: functional.linear(x, w, b), [weights, bias], transB=1)

    def max_pool(
        self,
        source: str,
        name: str,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        margins: Margins = (0, 0, 0, 0),
    ) -> str:
        def function(x: torch.Tensor) -> torch.Tensor:
            return functional.max_pool2d(padded(x, margins, -torch.inf), kernel, stride)

        shape = {"kernel_shape": list(kernel), "strides": list(stride), "pads": list(margins)}
        return self.add_node("MaxPool", name, [source], function, **shape)

    def average_pool(
        self,
        source: str,
        name: str,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        margins: Margins = (0, 0, 0, 0),
        counted: bool = False,
    ) -> str:
        def function(x: torch.Tensor) -> torch.Tensor:
            mean = functional.avg_pool2d(padded(x, margins), kernel, stride)
            exist = functional.avg_pool2d(padded(torch.ones_like(x), margins), kernel, stride)
            return mean if counted else mean / exist

        shape = {"kernel_shape": list(kernel), "strides": list(stride), "pads": list(margins)}
        return self.add_node("AveragePool", name, [source], function, **shape, count_include_pad=int(counted))

    def batch_norm(self, source: str, name: str) -> str:
        channels = self.shape(source)[1]
        gain, variance = (self.rng.uniform(0.5, 2.0, channels).astype(np.float32) for _ in range(2))
        gain *= self.rng.choice(np.array([-1, 1], np.float32), channels)
        offset, mean = (self.rng.normal(0, 0.5, channels).astype(np.float32) for _ in range(2))
        g, o, m, v = (torch.from_numpy(part) for part in (gain, offset, mean, variance))

        def function(x: torch.Tensor) -> torch.Tensor:
            return functional.batch_norm(x, m, v, g, o, eps=1e-3)

        return self.add_node(
            "BatchNormalization", name, [source], function, [gain, offset, mean, variance], epsilon=1e-3
        )

    def global_average_pool(self, source: str, name: str) -> str:
        return self.add_node("GlobalAveragePool", name, [source], lambda x: x.mean(dim=(2, 3), keepdim=True))

    def global_max_pool(self, source: str, name: str) -> str:
        return self.add_node("GlobalMaxPool", name, [source], lambda x: x.amax(dim=(2, 3), keepdim=True))

    def add(self, a: str, b: str, name: str) -> str:
        return self.add_node("Add", name, [a, b], torch.add)

    def relu(self, source: str, name: str) -> str:
        return self.add_node("Relu", name, [source], functional.relu)

    def relu6(self, source: str, name: str) -> str:
        bounds = [np.array(0.0, np.float32), np.array(6.0, np.float32)]
        return self.add_node("Clip", name, [source], functional.relu6, bounds)

    def sigmoid(self, source: str, name: str) -> str:
        return self.add_node("Sigmoid", name, [source], torch.sigmoid)

    def hard_sigmoid(self, source: str, name: str) -> str:
        return self.add_node("HardSigmoid", name, [source], functional.hardsigmoid, alpha=1 / 6, beta=0.5)

    def hard_swish(self, source: str, name: str) -> str:
        return self.add_node("HardSwish", name, [source], functional.hardswish)

    def mul(self, a: str, b: str, name: str) -> str:
        return self.add_node("Mul", name, [a, b], torch.mul)

    def silu(self, source: str, name: str) -> str:
        return self.mul(source, self.sigmoid(source, "gate"), name)

    def concat(self, sources: Sequence[str], name: str) -> str:
        return self.add_node("Concat", name, sources, lambda *parts: torch.cat(parts, 1), axis=1)

    def slice_channels(self, source: str, name: str, start: int, end: int) -> str:
        places = [np.array([place], np.int64) for place in (start, end, 1)]
        return self.add_node("Slice", name, [source], lambda x: x[:, start:end], places)

    def shuffle_channels(self, source: str, name: str, groups: int) -> str:
        """Reshape, Transpose, Reshape: the last is called `name`."""
        batch, channels, height, width = self.shape(source)
        apart = (batch, groups, channels // groups, height, width)
        self.add_node(
            "Reshape", f"{name}_groups", [source], lambda x: x.reshape(-1, *apart[1:]), [np.array(apart, np.int64)]
        )
        self.add_node(
            "Transpose", f"{name}_swap", [f"{name}_groups"], lambda x: x.transpose(1, 2), perm=[0, 2, 1, 3, 4]
        )
        shape = (batch, channels, height, width)
        return self.add_node(
            "Reshape", name, [f"{name}_swap"], lambda x: x.reshape(-1, *shape[1:]), [np.array(shape, np.int64)]
        )

    def flatten(self, source: str, name: str = "flat") -> str:
        return self.add_node("Flatten", name, [source], lambda x: x.flatten(1), axis=1)

    def activate(self, source: str, activation: str | None) -> str:
        """Nothing, relu or relu6 behind a value."""
        return source if activation is None else getattr(self, activation)(source, f"{source}_{activation}")

    # --- the finished net ---------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        """The graph as an exporter would give it."""
        last = self.steps[-1][0]
        nodes = [Node(n.op, n.name, list(n.inputs), list(n.outputs), dict(n.attributes), n.scope) for n in self.nodes]
        inputs = [Value("x", TensorProto.FLOAT, self.shape("x"))]
        graph = Graph(nodes, dict(self.constants), inputs, [Value(last, TensorProto.FLOAT, self.shape(last))])
        graph.infer_shapes()
        return graph

    def canonical(self) -> Graph:
        """Its canonical form."""
        return canonical(self.graph(), self.probabilities)

    def torch(self, images: Array) -> Array:
        """What torch gives for uint8 [N, H, W, 3], float32 [N, K]."""
        values = {"x": torch.from_numpy(planes(images))}
        for name, function, inputs in self.steps:
            values[name] = function(*(values[given] for given in inputs))
        last = values[self.steps[-1][0]]
        result: Array = (last.softmax(1) if self.probabilities else last).numpy()
        return result


def planes(images: Array) -> Array:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W], (pixel - 128) / 128."""
    return np.ascontiguousarray((images.astype(np.float32) - 128.0).transpose(0, 3, 1, 2) / 128.0)


def padded(x: torch.Tensor, margins: Margins, value: float = 0.0) -> torch.Tensor:
    top, left, bottom, right = margins
    return functional.pad(x, (left, right, top, bottom), value=value)


# --- ONNX's own evaluator --------------------------------------------------------------------------------------------


class MaxPool(op_max_pool.MaxPool):
    """onnx 1.23 takes the margins of a MaxPool of stride 1 as (top, bottom, left, right); the other way is right."""

    op_domain = ""

    def _run(self, x: Array, **attributes: Any) -> tuple[Array, ...]:
        found: tuple[Array, ...] = self._max_pool(x, **attributes)
        return found


def evaluate(graph: Graph, *arrays: Array) -> Array:
    """The first output of a graph by ONNX's ReferenceEvaluator, a batch at a time."""
    evaluator, batch = ReferenceEvaluator(to_onnx(graph), new_ops=[MaxPool]), graph.inputs[0].shape[0]
    names = [value.name for value in graph.inputs]
    parts = [
        evaluator.run(None, {name: array[i : i + batch] for name, array in zip(names, arrays, strict=True)})[0]
        for i in range(0, len(arrays[0]), batch)
    ]
    return np.concatenate(parts)
