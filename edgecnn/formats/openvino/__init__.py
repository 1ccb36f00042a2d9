"""The OpenVINO IR: model.xml and model.bin, converted from the graph by OpenVINO itself.

A quantize-dequantize pair becomes one FakeQuantize there, which holds the same scale and zero point as a range.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.edge.rounding import nearest_points
from edgecnn.edge.runtimes.openvino import library
from edgecnn.errors import OutOfResources, UnusableFile
from edgecnn.formats import Array, Details
from edgecnn.formats.openvino.cut import cut_out
from edgecnn.formats.openvino.fusions import keep_as_written
from edgecnn.formats.openvino.metadata import describe, read_details
from edgecnn.formats.openvino.read import read
from edgecnn.formats.openvino.rounding import division
from edgecnn.formats.openvino.scales import ENDS, implied_scale, rounding_of
from edgecnn.formats.openvino.tensors import is_nameless, named_outputs, tensor_name
from edgecnn.formats.openvino.whole import MOVERS, compute_in_whole_numbers, integer_layers
from edgecnn.graph.canonical import IMAGE, IMAGE_SCALE, IMAGE_ZERO
from edgecnn.graph.edit import Graph, to_onnx
from edgecnn.graph.half import is_half, widened
from edgecnn.graph.listing import Listing
from edgecnn.graph.program import Grid, Op, Program, Tensor, read_program
from edgecnn.storage import write_whole


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
        if any(node.op == "QuantizeLinear" for node in graph.nodes):
            if graph.only_consumer(IMAGE, "DequantizeLinear") is not None:
                _shift_pixels_once(openvino, model)
            compute_in_whole_numbers(openvino, model, read_program(graph))
        keep_as_written(openvino, model)
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
        """What the FakeQuantize nodes' input ranges mean: scale (high - low) / 255, zero point -low / scale.

        Of whole numbers the scale is what was divided by in front, or what the layer's factors are made for.
        """
        read = _read(model)
        outputs, layers = named_outputs(read), integer_layers(read, program)
        found = {}
        for op in program.ops:
            output = outputs.get(tensor_name(op.output))
            node = rounding_of(output, (*ENDS, *MOVERS)) if output is not None else None
            if node is not None:
                low, high = (float(node.input_value(i).get_node().get_data().min()) for i in (1, 2))
                step, implied, divided = (high - low) / 255.0, implied_scale(node, layers), division(node)
                scale = implied if implied is not None else step * (divided[1] if divided else 1.0)
                found[op.name] = Grid(scale, round(-low / step))
        return found

    def cut(self, model: Path, program: Program, op: Op, folder: Path) -> Path | None:
        """The nodes from one FakeQuantize to the next; float32 values that lie on the grid go in and come out."""
        openvino = _library()
        try:
            part = cut_out(openvino, _read(model), op)
        except LookupError as error:
            if op.output.grid is None and op.type in ("Sigmoid", "Mul"):
                return None  # x * sigmoid(x) is one Swish; the float file as a whole is compared to the same tolerance
            raise UnusableFile(f"{model}: has not all tensors of layer '{op.name}'") from error
        path = folder / self.model
        openvino.save_model(part, path, compress_to_fp16=False)
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
        """float32 on the grid back to the grid's points; logits are uint8 already, or float32 too."""
        if tensor.grid is None or values.dtype == np.uint8:
            return values
        return nearest_points(values, tensor.grid.scale, tensor.grid.zero_point)


def _read(model: Path) -> Any:
    try:
        return _library().Core().read_model(model)
    except RuntimeError as error:
        raise UnusableFile(f"{model}: OpenVINO can't read it") from error


def _shift_pixels_once(openvino: Any, model: Any) -> None:
    """Say the image's dequantization as a FakeQuantize over all 256 pixels: the same values.

    OpenVINO then moves the pixels from uint8 to int8 first, where their zero point is 0. Without it the first
    convolution keeps the zero point and makes up for it at each border: 15 % of the time of cifar10-ds, 12 % of
    cifar10-mobile (tools/compare_exporters).
    """
    (image,) = model.get_parameters()
    (taker,) = image.output(0).get_target_inputs()
    pixels = named_outputs(model)["pixels"]
    ends = [0.0, 255.0, *((pixel - IMAGE_ZERO) * IMAGE_SCALE for pixel in (0, 255))]
    limits = [openvino.opset8.constant(end, dtype=np.float32) for end in ends]
    shifted = openvino.opset8.fake_quantize(taker.get_node().output(0), *limits, 256)
    shifted.set_friendly_name(pixels.get_node().get_friendly_name())
    shifted.output(0).set_names(pixels.get_names())
    for target in pixels.get_target_inputs():
        target.replace_source_output(shifted.output(0))


def _name_by_order(model: Any) -> None:
    """OpenVINO numbers nameless nodes through the life of a process; number them by their place instead."""
    for place, node in enumerate(model.get_ordered_ops()):
        if is_nameless(node):
            node.set_friendly_name(f"{node.get_type_name()}_{place}")


def _library() -> Any:
    """OpenVINO with the operations that graphs are changed by."""
    openvino = library()
    importlib.import_module("openvino.opset8")
    return openvino


FORMAT = OpenVINOFormat()
