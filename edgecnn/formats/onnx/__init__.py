"""The ONNX file: the graph as it is, with what it says about itself in metadata_props."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from edgecnn.edge.rounding import nearest_points
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.formats import Array, Details
from edgecnn.formats.onnx.metadata import describe, read_details
from edgecnn.formats.onnx.read import read
from edgecnn.graph.edit import Graph, from_onnx, to_onnx
from edgecnn.graph.listing import Listing
from edgecnn.graph.program import Grid, Op, Program, Tensor, read_program, shifted
from edgecnn.storage import write_whole


class OnnxFormat:
    """model.onnx."""

    name = "onnx"
    model = "model.onnx"
    companions: tuple[str, ...] = ()

    def write(self, graph: Graph, folder: Path, details: Details) -> None:
        """Write the graph; the same graph and details give the same bytes."""
        model = to_onnx(graph)
        describe(model, details)
        write_whole(folder / self.model, model.SerializeToString(deterministic=True))

    def grids(self, model: Path, program: Program) -> Mapping[str, Grid]:
        """Scales and zero points of the QuantizeLinear nodes."""
        try:
            ops = read_program(from_onnx(onnx.load(model))).ops
        except (DecodeError, UsageError, KeyError) as error:
            raise UnusableFile(f"{model}: is no graph of edgecnn's ({error})") from error
        return {op.name: op.output.grid for op in ops if op.output.grid is not None}

    def cut(self, model: Path, program: Program, op: Op, folder: Path) -> Path | None:
        """The nodes between an operation's quantized tensors."""
        whole = from_onnx(onnx.load(model))
        part = whole.between([whole.value(t.value) for t in op.inputs], [whole.value(op.output.value)])
        path = folder / self.model
        path.write_bytes(to_onnx(part).SerializeToString())
        return path

    def details(self, model: Path) -> Details:
        """metadata_props."""
        return read_details(model)

    def listing(self, model: Path) -> Listing:
        """The nodes, pairs of QuantizeLinear and DequantizeLinear as grids."""
        return read(model)

    def encode(self, tensor: Tensor, values: Array) -> Array:
        """As they are; int8 where the graph has it."""
        return shifted(values) if tensor.signed else values

    def decode(self, tensor: Tensor, values: Array) -> Array:
        """As they are; uint8 where the graph has int8, or where a file answers in floats on a grid."""
        if tensor.grid is not None and values.dtype.kind == "f":
            return nearest_points(values, tensor.grid.scale, tensor.grid.zero_point)
        return shifted(values) if tensor.signed else values


FORMAT = OnnxFormat()
