"""An OpenVINO IR of any origin as a listing, read by OpenVINO itself.

Rounding to 8 bits is a FakeQuantize there; integers of a constant or of the image become floats by Convert, Subtract
and Multiply. Both turn into grids on values. A constant added behind a convolution is its bias.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.formats.openvino.rounding import division
from edgecnn.formats.openvino.scales import rounding_behind, rounding_of, said_scales, summing
from edgecnn.formats.openvino.tensors import sole_taker
from edgecnn.formats.openvino.values import common_grid, dequantized, merged_groups, points
from edgecnn.graph.listing import Array, Listing, Operation, Quantization, Value, Window, snake

KINDS = {
    "Convolution": "conv",
    "GroupConvolution": "conv",
    "ConvolutionBackpropData": "transposed_conv",
    "GroupConvolutionBackpropData": "transposed_conv",
    "MatMul": "dense",
    "ReduceMean": "mean",
    "AvgPool": "average_pool",
    "FakeQuantize": "quantize",
    "HSwish": "hard_swish",
    "HSigmoid": "hard_sigmoid",
    "Multiply": "mul",
    "SoftMax": "softmax",
    "Clamp": "clip",
}
CONVOLUTIONS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData")
LEVELS = (255, 256)


def read(openvino: Any, model: Path) -> Listing:
    """The listing of a file's graph. `openvino`: the module. A broken file raises what OpenVINO raises."""
    return _Reader(openvino.Core().read_model(model)).read()


class _Reader:
    def __init__(self, model: Any) -> None:
        self.model = model
        self.scales = said_scales(model)
        self.values: dict[tuple[str, int], Value] = {}
        self.operations: list[Operation] = []
        self.makers: dict[str, int] = {}
        """The place among the operations of what makes a value, by the value's name."""

    def read(self) -> Listing:
        for node in self.model.get_ordered_ops():
            self._node(node)
        return Listing(
            tuple(self._plain(output) for output in self.model.inputs),
            tuple(self._of(result.input_value(0)) for result in self.model.get_results()),
            tuple(self.operations),
        )

    # --- values ------------------------------------------------------------------------------------------------------

    def _of(self, output: Any) -> Value:
        key = (output.get_node().get_friendly_name(), output.get_index())
        return self.values[key] if key in self.values else self._plain(output)

    def _keep(self, output: Any, value: Value) -> None:
        self.values[(output.get_node().get_friendly_name(), output.get_index())] = value

    def _plain(self, output: Any) -> Value:
        sizes = tuple(0 if size.is_dynamic else size.get_length() for size in output.get_partial_shape())
        name = output.get_node().get_friendly_name() + (f":{output.get_index()}" if output.get_index() else "")
        return Value(name, sizes, output.get_element_type().to_dtype().name)

    # --- nodes -------------------------------------------------------------------------------------------------------

    def _node(self, node: Any) -> None:
        kind = node.get_type_name()
        if kind in ("Parameter", "Result"):
            return
        if kind == "Constant":
            self._keep(node.output(0), replace(self._plain(node.output(0)), constant=node.get_data()))
            return
        inputs = [self._of(node.input_value(i)) for i in range(node.get_input_size())]
        made = self._folded(kind, node, inputs)
        if made is not None:
            self._keep(node.output(0), made)
        else:
            self._operation(kind, node, inputs)

    def _folded(self, kind: str, node: Any, inputs: list[Value]) -> Value | None:
        """What a node makes that is no operation of its own; None for one that is."""
        first = inputs[0]
        stored = first.dtype in ("int8", "uint8") or first.constant is not None
        if kind == "Convert" and stored:
            return first
        if kind == "Convert" and first.quantization is not None and _target(node) in ("u8", "i8"):
            return first
        integers = first.dtype in ("int8", "uint8") or (first.dtype == "int32" and first.constant is not None)
        if kind in ("Multiply", "Round") and (_belongs_to_rounding(node) or self._is_of_whole_numbers(node, inputs)):
            return first
        if kind in ("Subtract", "Multiply") and integers and inputs[1].constant is not None:
            return dequantized(kind, first, inputs[1].constant)
        if kind == "Reshape" and first.constant is not None:
            shape = self._plain(node.output(0)).shape
            return replace(first, shape=shape, constant=first.constant.reshape(shape))
        if kind == "FakeQuantize":
            return self._rounded(node, inputs)
        if kind == "Add" and len(inputs) == 2 and inputs[1].constant is not None:
            return self._biased(node, inputs[0], inputs[1])
        return None

    def _rounded(self, node: Any, inputs: list[Value]) -> Value | None:
        """A FakeQuantize: a grid on what comes before; None where that has one already or comes from outside."""
        grid = self._grid(node, inputs)
        if grid is None or (inputs[0].constant is None and inputs[0].name not in self.makers):
            return None
        if inputs[0].quantization is not None:
            return None
        made = replace(inputs[0], quantization=grid, dtype=grid.dtype)
        if made.constant is not None:
            return replace(made, constant=points(made.constant, grid))
        self._change(made.name, made, node.get_friendly_name())
        return made

    def _biased(self, node: Any, first: Value, bias: Value) -> Value | None:
        """The sum of a convolution's output and a constant a channel."""
        maker = self.operations[self.makers[first.name]] if first.name in self.makers else None
        if maker is None or maker.weights is None or maker.bias is not None or first.quantization is not None:
            return None
        assert bias.constant is not None, "asked for only where it is one"
        made = replace(first, name=node.get_friendly_name())
        place = self.makers[made.name] = self.makers[first.name]
        self.operations[place] = replace(
            maker, name=made.name, outputs=(made,), bias=bias, aliases=(*maker.aliases, made.name)
        )
        return made

    def _grid(self, node: Any, inputs: list[Value]) -> Quantization | None:
        """Of a FakeQuantize with 8 bits and constant ends; of whole numbers the scale is what the file says."""
        levels = int(node.get_attributes().get("levels", 0))
        low, high = (value.constant for value in inputs[1:3])
        if levels not in LEVELS or low is None or high is None:
            return None
        low, high = low.ravel().astype(np.float64), high.ravel().astype(np.float64)
        steps = (high - low) / (levels - 1)
        if inputs[0].constant is not None:  # weights: around zero, with or without -128
            return Quantization("int8", steps, np.zeros(len(steps), np.int64), 0 if len(steps) > 1 else None)
        zeros = np.rint(-low / np.where(steps == 0, 1.0, steps)).astype(np.int64)
        said, divided = self.scales.get(node.get_friendly_name()), division(node)
        scales = steps * divided[1] if divided else steps if said is None else np.full(len(steps), said)
        return Quantization("uint8", scales, zeros, 1 if len(scales) > 1 else None)

    def _is_of_whole_numbers(self, node: Any, inputs: list[Value]) -> bool:
        """Whether it only turns whole numbers into real ones, or sums into whole numbers, which say nothing by
        themselves; the latter's factors give the layer's scales.
        """
        if node.get_type_name() == "Round":
            rounding, product = (sole_taker(node.output(0), kind) for kind in ("FakeQuantize", "Multiply"))
            if product is not None:
                return bool(self.scales) and summing(product) is not None
            return rounding is not None and rounding.get_friendly_name() in self.scales
        grid, factors = inputs[0].quantization, inputs[1].constant
        if factors is None or not self.scales:
            return False
        if grid is not None:
            return factors.size == 1 and bool(np.isclose(factors.item(), grid.scales[0], rtol=1e-6))
        return self._take_scales(node, inputs[0], np.ravel(factors).astype(np.float64))

    def _take_scales(self, product: Any, sums: Value, factors: Array) -> bool:
        """Give a layer's weights and bias the scales that its factors are made of; False where it is no such layer."""
        maker = self.operations[self.makers[sums.name]] if sums.name in self.makers else None
        layer, weights = summing(product), maker.weights if maker is not None else None
        if maker is None or layer is None or weights is None or weights.quantization is None:
            return False
        before, behind = rounding_of(layer.input_value(0)), rounding_behind(product)
        given = self.scales.get(before.get_friendly_name()) if before is not None else None
        step, bias = weights.quantization.scales, maker.bias
        counts = [factors.size, *([bias.constant.size] if bias is not None and bias.constant is not None else [])]
        if given is None or any(step.size not in (1, count) for count in counts):
            return False
        scales = factors * step * (self.scales.get(behind.get_friendly_name(), 1.0) if behind is not None else 1.0)
        axis, zeros = 0 if len(scales) > 1 else None, np.zeros(len(scales), np.int64)
        grid = Quantization("int8", scales / given, zeros, axis)
        weights = replace(weights, quantization=grid)
        if bias is not None and bias.constant is not None:
            whole = np.rint(np.ravel(bias.constant) / step).astype(np.int32).reshape(bias.constant.shape)
            grid = Quantization("int32", scales, zeros, axis)
            bias = replace(bias, constant=whole, dtype="int32", quantization=grid)
        self.operations[self.makers[sums.name]] = replace(maker, weights=weights, bias=bias)
        return True

    def _change(self, name: str, made: Value, alias: str) -> None:
        place = self.makers[name]
        maker = self.operations[place]
        outputs = tuple(made if value.name == name else value for value in maker.outputs)
        self.operations[place] = replace(maker, outputs=outputs, aliases=(*maker.aliases, alias))

    def _operation(self, kind: str, node: Any, inputs: list[Value]) -> None:
        weighted = (kind in CONVOLUTIONS or kind == "MatMul") and len(inputs) > 1 and inputs[1].constant is not None
        weights = merged_groups(inputs[1]) if weighted and kind.startswith("Group") else inputs[1] if weighted else None
        common = KINDS.get(kind, snake(kind))
        if kind == "GroupConvolution" and weights is not None and weights.shape[1] == 1:
            common = "depthwise_conv"
        if kind == "Clamp" and [float(node.get_attributes()[end]) for end in ("min", "max")] == [0.0, 6.0]:
            common = "relu6"
        if kind == "MatMul" and not weighted:
            common = "matmul"
        rest = [value for i, value in enumerate(inputs) if not (weighted and i == 1)]
        made = tuple(self._plain(output) for output in node.outputs())
        grid = self._grid(node, inputs) if kind == "FakeQuantize" else None
        if kind == "Concat" and sole_taker(node.output(0), "FakeQuantize") is None:
            grid = common_grid(inputs)
        if grid is not None:
            made = (replace(made[0], quantization=grid, dtype=grid.dtype),)
        name = node.get_friendly_name()
        for output, value in zip(node.outputs(), made, strict=True):
            self._keep(output, value)
            self.makers[value.name] = len(self.operations)
        self.operations.append(
            Operation(
                name=name,
                type=kind,
                kind=common,
                inputs=tuple(value for value in rest if value.constant is None),
                outputs=made,
                aliases=(name,),
                weights=weights,
                constants=tuple(value for value in rest if value.constant is not None),
                channel_axis=_channel_axis(kind, node),
                window=_window(kind, node, weights),
            )
        )


def _belongs_to_rounding(node: Any) -> bool:
    """Whether it is the division or the rounding in front of a FakeQuantize, which stand for themselves nowhere."""
    takers = [target.get_node() for target in node.output(0).get_target_inputs()]
    if len(takers) != 1:
        return False
    if takers[0].get_type_name() == "FakeQuantize":
        return division(takers[0]) is not None
    return takers[0].get_type_name() == "Round" and _belongs_to_rounding(takers[0])


def _target(node: Any) -> str:
    return str(node.get_output_element_type(0).get_type_name())


def _channel_axis(kind: str, node: Any) -> int:
    if kind == "MatMul":
        return 0 if node.get_attributes().get("transpose_b") else -1
    return 1 if kind == "ConvolutionBackpropData" else 0


def _window(kind: str, node: Any, weights: Value | None) -> Window | None:
    attributes = node.get_attributes()
    kernel = attributes.get("kernel")
    if kernel is None and kind in CONVOLUTIONS and weights is not None:
        kernel = weights.shape[2:]
    if kernel is None or len(kernel) != 2:
        return None
    stride, dilation = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1]))
