"""An .onnx file from anywhere -> an editable Graph of one fixed picture, and what ONNX Runtime makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, version_converter

from edgecnn.edge.pixels import CHANNELS
from edgecnn.edge.runtimes.onnxruntime import library
from edgecnn.errors import MissingExtra, UnusableFile, UsageError
from edgecnn.graph.edit import OPSET, Array, Graph, from_onnx

OLDEST = 7
"""Before opset 7, operations broadcast in ways of their own."""


class ForeignModel:
    """A float classifier's file with one picture [N, C, H, W] in and one set of logits or probabilities out."""

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        """`size` (height, width) is for files that leave it open.

        Raises UnusableFile for what is no ONNX file or lies in several files, UsageError for what can't be exported.
        """
        self.path = path
        model = _load(path)
        given = [value for value in model.graph.input if value.name not in {t.name for t in model.graph.initializer}]
        if len(given) != 1 or len(given[0].type.tensor_type.shape.dim) != 4:
            raise UsageError(f"{path}: takes {len(given)} inputs; only one picture [N, C, H, W] can be exported")
        self._input = given[0].name
        self.channels, self.height, self.width = _fix_sizes(path, given[0], size)
        self.model = model

    def graph(self) -> Graph:
        """At the opset that edgecnn works in, constants folded; MissingExtra without onnxscript."""
        try:
            import onnxscript.optimizer
        except ImportError as error:
            raise MissingExtra("exporting", error.name or "onnxscript", "export") from error
        try:
            model = version_converter.convert_version(self.model, OPSET) if _opset(self.model) != OPSET else self.model
            model = onnx.shape_inference.infer_shapes(onnxscript.optimizer.optimize(model), data_prop=True)
        except (RuntimeError, ValueError, onnx.shape_inference.InferenceError) as error:
            first = str(error).strip().splitlines()[0]
            raise UsageError(f"{self.path}: can't be brought to ONNX opset {OPSET} ({first})") from error
        return from_onnx(model)

    def answers(self, planes: Array) -> Array:
        """float32 [N, C, H, W], normalised as the network wants it -> [N, K], by ONNX Runtime."""
        session = library().InferenceSession(self.path.read_bytes(), providers=["CPUExecutionProvider"])
        return np.concatenate([session.run(None, {self._input: planes[i : i + 1]})[0] for i in range(len(planes))])


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
        if any(external_data_helper.uses_external_data(t) for t in external_data_helper._get_all_tensors(model)):
            raise UnusableFile(
                f"{path}: keeps its weights in another file, which is not opened; save it whole with "
                "onnx.save(onnx.load(PATH), PATH)"
            )
        onnx.checker.check_model(model)
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise UnusableFile(f"{path}: is no whole ONNX file ({str(error).strip().splitlines()[0]})") from error
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear", "QLinearConv") for node in model.graph.node):
        raise UsageError(f"{path}: is quantized already; export takes the float network")
    if _opset(model) < OLDEST:
        raise UsageError(f"{path}: has ONNX opset {_opset(model)}; export it again with {OPSET} (at least {OLDEST})")
    return model


def _opset(model: onnx.ModelProto) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def _fix_sizes(path: Path, given: onnx.ValueInfoProto, size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Write batch 1 and the picture's size into the input; its channels, height and width."""
    batch, *rest = given.type.tensor_type.shape.dim
    known = [dim.dim_value for dim in rest]
    if size is not None:
        if any(have not in (0, want) for have, want in zip(known[1:], size, strict=True)):
            raise UsageError(f"{path}: takes pictures of {known[1]}x{known[2]}, not of {size[0]}x{size[1]}")
        known[1:] = size
    if not all(known[1:]):
        raise UsageError(f"{path}: leaves the picture's size open; give it with --input-size")
    if known[0] not in CHANNELS:
        raise UsageError(
            f"{path}: takes [N, {known[0] or '?'}, H, W]; only pictures of 3 channels or 1 can be exported"
        )
    for dim, length in zip((batch, *rest), (1, *known), strict=True):
        dim.dim_value = length
    return known[0], known[1], known[2]
