"""ONNX Runtime: the graph that is left when it has optimized a file, saved by itself.

A fused node is called after the first it was made of, or gives the value that the last one gave; a node that was
rewritten for another layout has `_token_<n>` or `_nchwc` added to these names. What was taken apart has no name at all,
but where its result is quantized, that node still has its own.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto

from edgecnn.edge.runtimes.onnxruntime import library
from edgecnn.inspection.kernels import Kernel

ADDED = re.compile(r"(_token_\d+|_nchwc)+$")
INTEGERS = (TensorProto.UINT8, TensorProto.INT8)
QUANTIZED = ("QLinear", "QGemm", "QuantizeLinear", "MatMulInteger", "ConvInteger", "QAttention", "DynamicQuantize")


class OnnxRuntimeEngine:
    """The kernels of the CPU provider."""

    name = "onnxruntime"
    source = "the graph that it saves after optimizing"

    def kernels(self, model: Path) -> Mapping[str, Kernel]:
        """By the nodes' names and those of their outputs."""
        graph = _optimized(model).graph
        kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
        kinds |= {value.name: value.type.tensor_type.elem_type for value in graph.input}
        found: dict[str, Kernel] = {}
        makers: dict[str, Kernel] = {}
        for node in graph.node:
            kind = _made(node, kinds)
            kinds |= dict.fromkeys(node.output, kind)
            kernel = Kernel(node.op_type, kind in INTEGERS or node.op_type.startswith(QUANTIZED))
            makers |= dict.fromkeys(node.output, kernel)
            if node.op_type == "QuantizeLinear":
                found.setdefault(node.name, makers.get(node.input[0], kernel))
            for name in (node.name, *node.output):
                found.setdefault(ADDED.sub("", name), kernel)
        return found


def _optimized(model: Path) -> onnx.ModelProto:
    engine = library()
    options = engine.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    options.log_severity_level = 4  # it warns that what it saves is for this machine only
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "optimized.onnx"
        options.optimized_model_filepath = str(path)
        engine.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def _made(node: onnx.NodeProto, kinds: Mapping[str, int]) -> int:
    """The element type of what a node gives, as far as 8 bits and the rest are told apart."""
    if node.op_type == "DequantizeLinear":
        return int(TensorProto.FLOAT)
    if node.op_type == "Cast":
        return int(next((a.i for a in node.attribute if a.name == "to"), TensorProto.FLOAT))
    if node.op_type == "QuantizeLinear":
        return kinds.get(node.input[2], TensorProto.UINT8) if len(node.input) > 2 else int(TensorProto.UINT8)
    if node.op_type == "QGemm":
        return kinds.get(node.input[8], TensorProto.FLOAT) if len(node.input) > 8 else int(TensorProto.FLOAT)
    if node.op_type == "QLinearConcat":
        return kinds.get(node.input[1], TensorProto.UINT8)
    return kinds.get(node.input[0], TensorProto.FLOAT) if node.input else int(TensorProto.FLOAT)


ENGINE = OnnxRuntimeEngine()
