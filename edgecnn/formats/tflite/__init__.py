"""The TFLite file, written straight from the graph with flatbuffers: NHWC, per-channel, no TRANSPOSE.

The schema's Python classes come with ai-edge-litert; they are imported when the first file is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgecnn.formats import Array, Details
from edgecnn.graph.canonical import IMAGE
from edgecnn.graph.edit import Graph
from edgecnn.graph.listing import Listing
from edgecnn.graph.program import Grid, Op, Program, Tensor, read_program
from edgecnn.storage import write_whole


class TFLiteFormat:
    """model.tflite."""

    name = "tflite"
    model = "model.tflite"
    companions: tuple[str, ...] = ()

    def write(self, graph: Graph, folder: Path, details: Details) -> None:
        """Write the program of the graph; UsageError for an operation without a writer."""
        from edgecnn.formats.tflite.write import write_program

        write_whole(folder / self.model, write_program(read_program(graph), details))

    def grids(self, model: Path, program: Program) -> Mapping[str, Grid]:
        """The tensors' quantization, brought from int8 to uint8."""
        from edgecnn.formats.tflite.write import read_grids

        kept = {op.name: op.output.name for op in program.ops if not program.is_nothing(op)}
        found = read_grids(model)
        return {name: found[tensor] for name, tensor in kept.items() if tensor in found}

    def cut(self, model: Path, program: Program, op: Op, folder: Path) -> Path | None:
        """The operators between two tensors; None for a flatten that the file does not need."""
        from edgecnn.formats.tflite.write import cut

        def name(tensor: Tensor) -> str:
            makers = [maker for maker in program.ops if maker.output == tensor]
            if makers and program.is_nothing(makers[0]):
                return name(makers[0].inputs[0])
            return tensor.name

        if program.is_nothing(op):
            return None
        path = folder / self.model
        path.write_bytes(cut(model, [name(tensor) for tensor in op.inputs], name(op.output)))
        return path

    def details(self, model: Path) -> Details:
        """TFLite metadata, and the label file behind the model."""
        from edgecnn.formats.tflite.metadata import read_details

        return read_details(model)

    def listing(self, model: Path) -> Listing:
        """The operators of the first graph."""
        from edgecnn.formats.tflite.read import read

        return read(model)

    def encode(self, tensor: Tensor, values: Array) -> Array:
        """NHWC, int8; the image as it is."""
        from edgecnn.formats.tflite.layout import to_file

        return values if tensor.value == IMAGE else to_file(tensor, values)

    def decode(self, tensor: Tensor, values: Array) -> Array:
        """NCHW, uint8."""
        from edgecnn.formats.tflite.layout import from_file

        return from_file(tensor, values)


FORMAT = TFLiteFormat()
