"""The OpenVINO IR: model.xml and model.bin, converted from the graph by OpenVINO itself.

A quantize-dequantize pair becomes one FakeQuantize there, which holds the same scale and zero point as a range.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.edge.runtimes.openvino import library
from edgecnn.errors import OutOfResources, UnusableFile
from edgecnn.formats import Array, Details
from edgecnn.formats.openvino.metadata import describe, read_details
from edgecnn.formats.openvino.read import read
from edgecnn.graph.canonical import IMAGE, IMAGE_SCALE, IMAGE_ZERO
from edgecnn.graph.edit import Graph, to_onnx
from edgecnn.graph.half import INNER, is_half, widened
from edgecnn.graph.listing import Listing
from edgecnn.graph.program import Grid, Op, Program, Tensor
from edgecnn.records import write_whole

ENDS = ("Convert", "Add")
"""What stands between the last FakeQuantize and the uint8 output; symmetric activations are shifted there."""


class OpenVINOFormat:
    """model.xml with model.bin."""

    name = "openvino"
    model = "model.xml"
    companions: tuple[str, ...] = ("model.bin",)

    def write(self, graph: Graph, folder: Path, details: Details) -> None:
        """Convert and save; the same graph and details give the same bytes.

        A float16 graph is saved in OpenVINO's own way, weights in fp16, and computes at whatever precision is asked.
        """
        openvino, half = _library(), is_half(graph)
        graph = widened(graph) if half else graph
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / "graph.onnx"
            source.write_bytes(to_onnx(graph).SerializeToString())
            model = openvino.convert_model(source)
        quantized = any(node.op == "QuantizeLinear" for node in graph.nodes)
        if quantized and graph.only_consumer(IMAGE, "DequantizeLinear") is not None:
            _shift_pixels_once(openvino, model)
        _keep_rounding_before_sums(openvino, model)
        _keep_pools_before_gates(openvino, model)
        _keep_in_float(openvino, model)
        _name_by_order(model)
        describe(openvino, model, details)
        with tempfile.TemporaryDirectory() as temporary:
            made = Path(temporary) / self.model
            try:
                openvino.save_model(model, made, compress_to_fp16=half)
            except RuntimeError as error:
                if "iostream" not in str(error):
                    raise
                raise OutOfResources(f"{temporary}: can't be written to, the disk is full; set TMPDIR") from error
            for name in (*self.companions, self.model):
                write_whole(folder / name, made.with_name(name).read_bytes())

    def grids(self, model: Path, program: Program) -> Mapping[str, Grid]:
        """What the FakeQuantize nodes' input ranges mean: scale (high - low) / 255, zero point -low / scale."""
        outputs = _outputs(_read(model))
        found = {}
        for op in program.ops:
            output = outputs.get(tensor_name(op.output))
            node = output.get_node() if output is not None else None
            while node is not None and node.get_type_name() in ENDS:
                node = node.input_value(0).get_node()
            if node is not None and node.get_type_name() == "FakeQuantize":
                low, high = (float(node.input_value(i).get_node().get_data().min()) for i in (1, 2))
                scale = (high - low) / 255.0
                found[op.name] = Grid(scale, round(-low / scale))
        return found

    def cut(self, model: Path, program: Program, op: Op, folder: Path) -> Path | None:
        """The nodes from one FakeQuantize to the next; float32 values that lie on the grid go in and come out."""
        openvino = _library()
        whole = _read(model)
        outputs = _outputs(whole)

        def found(tensor: Tensor) -> Any:
            # Of roundings to one grid around a Concat the inner ones go, and a relu that they made needless.
            names = (tensor_name(tensor), tensor.unrounded, tensor.name)
            return next(outputs[name] for name in names if name in outputs)

        try:
            parameters = [_parameter(openvino, whole, found(tensor)) for tensor in op.inputs]
            result = openvino.opset8.result(found(op.output))
        except StopIteration as error:
            if op.output.grid is None and op.type in ("Sigmoid", "Mul"):
                return None  # x * sigmoid(x) is one Swish; the float file as a whole is compared to the same tolerance
            raise UnusableFile(f"{model}: has not all tensors of layer '{op.name}'") from error
        path = folder / self.model
        openvino.save_model(openvino.Model([result], parameters), path, compress_to_fp16=False)
        return path

    def details(self, model: Path) -> Details:
        """rt_info, in edgecnn's words or Model API's."""
        return read_details(model)

    def listing(self, model: Path) -> Listing:
        """The nodes, what rounds and what unpacks integers as grids."""
        return read(_library(), model)

    def encode(self, tensor: Tensor, values: Array) -> Array:
        """What the grid's points stand for, as float32; the image as it is."""
        if tensor.name == tensor.value and values.dtype == np.uint8:
            return values
        if tensor.grid is None:
            return values.astype(np.float32)  # float16 files compute in float32
        return np.asarray((values.astype(np.float32) - tensor.grid.zero_point) * np.float32(tensor.grid.scale))

    def decode(self, tensor: Tensor, values: Array) -> Array:
        """float32 on the grid back to the grid's points; logits are uint8 already."""
        if tensor.grid is None or values.dtype == np.uint8:
            return values
        points = np.rint(values / tensor.grid.scale) + tensor.grid.zero_point
        return np.asarray(np.clip(points, 0, 255), np.uint8)


def tensor_name(tensor: Tensor) -> str:
    """A tensor's name in the IR: that of the dequantized value, where the pair was fused."""
    return re.sub(r"\.q$", ".dq", tensor.value).removesuffix(INNER)


def _read(model: Path) -> Any:
    try:
        return _library().Core().read_model(model)
    except RuntimeError as error:
        raise UnusableFile(f"{model}: OpenVINO can't read it") from error


def _outputs(model: Any) -> dict[str, Any]:
    """Every value of a model by each of its names."""
    return {name: output for node in model.get_ops() for output in node.outputs() for name in output.get_names()}


def _parameter(openvino: Any, model: Any, output: Any) -> Any:
    """A new input in the place of what feeds an output's FakeQuantize; the image's own input as it is."""
    node = output.get_node()
    if node.get_type_name() == "Parameter":
        return node
    if node.get_type_name() == "FakeQuantize":
        output = node.input_value(0)
    targets = output.get_target_inputs()
    parameter = openvino.opset8.parameter(output.get_partial_shape(), output.get_element_type())
    for target in targets:
        target.replace_source_output(parameter.output(0))
    return parameter


def _shift_pixels_once(openvino: Any, model: Any) -> None:
    """Say the image's dequantization as a FakeQuantize over all 256 pixels: the same values.

    OpenVINO then moves the pixels from uint8 to int8 first, where their zero point is 0. Without it the first
    convolution keeps the zero point and makes up for it at each border: 15 % of the time of cifar10-ds, 12 % of
    cifar10-mobile (tools/compare_exporters).
    """
    (image,) = model.get_parameters()
    (taker,) = image.output(0).get_target_inputs()
    pixels = _outputs(model)["pixels"]
    ends = [0.0, 255.0, *((pixel - IMAGE_ZERO) * IMAGE_SCALE for pixel in (0, 255))]
    limits = [openvino.opset8.constant(end, dtype=np.float32) for end in ends]
    shifted = openvino.opset8.fake_quantize(taker.get_node().output(0), *limits, 256)
    shifted.set_friendly_name(pixels.get_node().get_friendly_name())
    shifted.output(0).set_names(pixels.get_names())
    for target in pixels.get_target_inputs():
        target.replace_source_output(shifted.output(0))


def _keep_rounding_before_sums(openvino: Any, model: Any) -> None:
    """Stop OpenVINO from fusing a sum into the convolution before it: fused, it leaves out the rounding in between.

    A maximum with the lower end of the range that the value lies in anyway changes nothing, and can't be fused across.
    On a net with three residual blocks 98 % of logits equal the reference's instead of 70 % (tools/measure_sums).
    """
    for node in model.get_ops():
        if node.get_type_name() != "Add":
            continue
        for place in range(2):
            quantized = node.input_value(place)
            producer = quantized.get_node()
            if producer.get_type_name() == "FakeQuantize" and len(quantized.get_target_inputs()) == 1:
                low = openvino.opset8.constant(producer.input_value(3).get_node().get_data().min())
                node.input(place).replace_source_output(openvino.opset8.maximum(quantized, low).output(0))


def _keep_pools_before_gates(openvino: Any, model: Any) -> None:
    """Stop OpenVINO from moving an activation to the front of a max pool: swish falls before it rises, and so differs.

    2026.4.1 does so between a convolution and a swish or hard_swish, and is off by a tenth of the largest value.
    Nothing is moved across a maximum, here with the least float.
    """
    for node in model.get_ops():
        if node.get_type_name() != "MaxPool":
            continue
        takers = list(node.output(0).get_target_inputs())
        if any(taker.get_node().get_type_name() in ("Swish", "HSwish") for taker in takers):
            least = openvino.opset8.constant(np.finfo(np.float32).min, dtype=np.float32)
            kept = openvino.opset8.maximum(node.output(0), least)
            for taker in takers:
                taker.replace_source_output(kept.output(0))


def _keep_in_float(openvino: Any, model: Any) -> None:
    """Stop OpenVINO from computing in int8 what it gets wrong there: nothing is fused across a maximum in front."""
    for node in model.get_ops():
        wrong = WRONG_IN_INT8.get(node.get_type_name())
        if wrong is not None and wrong(node):
            least = openvino.opset8.constant(np.finfo(np.float32).min, dtype=np.float32)
            kept = openvino.opset8.maximum(node.input_value(0), least)
            node.input(0).replace_source_output(kept.output(0))


def _transposed_wrongly(node: Any) -> bool:
    """A transposed convolution with a kernel shorter than its stride: 2026.4.1 takes the first channel's scale for all.

    So are those behind which an activation and a rounding to values below zero follow (symmetric activations).
    """
    kernel, strides = node.input_value(1).get_shape()[2:], node.get_attributes()["strides"]
    return any(k < s for k, s in zip(kernel, strides, strict=True)) or _rounded_below_zero(node.output(0))


def _grouped_wrongly(node: Any) -> bool:
    """A convolution with groups that is not plainly depthwise.

    2026.4.1 is up to 164 steps off in three values of four on AMX; and of depthwise convolutions with a multiplier, on
    AVX512-VNNI too, up to 243 in four of five where the output is one column wide and the stride across above 1.
    """
    _, filters, channels = node.input_value(1).get_shape()[:3]
    return bool(filters > 1 or channels > 1)


def _rounded_below_zero(output: Any) -> bool:
    """Whether an activation alone follows (perhaps behind a bias), and then a FakeQuantize from below zero on."""
    activated = False
    while len(takers := list(output.get_target_inputs())) == 1:
        node = takers[0].get_node()
        kind = node.get_type_name()
        if kind == "FakeQuantize":
            return activated and bool(node.input_value(1).get_node().get_data().min() < 0.0)
        if kind not in ("Add", "Relu", "Clamp"):
            return False
        activated, output = activated or kind != "Add", node.output(0)
    return False


WRONG_IN_INT8: Mapping[str, Callable[[Any], bool]] = {
    "ConvolutionBackpropData": _transposed_wrongly,
    "GroupConvolution": _grouped_wrongly,
}
"""By operation: whether one of that kind is computed in float instead."""


def _name_by_order(model: Any) -> None:
    """OpenVINO numbers nameless nodes through the life of a process; number them by their place instead."""
    for place, node in enumerate(model.get_ordered_ops()):
        if re.fullmatch(r"[A-Z]\w*_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{place}")


def _library() -> Any:
    """OpenVINO with the operations that graphs are changed by."""
    openvino = library()
    importlib.import_module("openvino.opset8")
    return openvino


FORMAT = OpenVINOFormat()
