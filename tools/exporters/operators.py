"""What a runtime computes for a model file: its operators by kind, those that only convert, and those in float."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.edge.runtimes.onnxruntime import library as onnxruntime_library
from edgecnn.edge.runtimes.openvino import library as openvino_library
from tools.exporters.exporter import Array
from tools.exporters.sessions import THREADS, inputs_for, open_file


@dataclass(frozen=True)
class Operator:
    """One step: `floating` where it takes a floating-point tensor, `converts` where it only changes type or scale."""

    kind: str
    floating: bool
    converts: bool


def count(path: Path, form: str) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]:
    """All that compute, all that convert, and those of the first that compute in float: kind -> number."""
    found = list(READERS[form](path))
    kinds = Counter(op.kind for op in found if not op.converts)
    conversions = Counter(op.kind for op in found if op.converts)
    floats = Counter(op.kind for op in found if op.floating and not op.converts)
    return dict(kinds), dict(conversions), dict(floats)


def of_tflite(path: Path) -> Iterator[Operator]:
    """The file's own operators: LiteRT computes them as they stand."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    floating = {
        tensor["index"]: np.issubdtype(tensor["dtype"], np.floating) for tensor in interpreter.get_tensor_details()
    }
    for op in interpreter._get_ops_details():
        converts = op["op_name"] in ("QUANTIZE", "DEQUANTIZE")
        yield Operator(op["op_name"], bool(floating[op["inputs"][0]]), converts)


def of_onnx(path: Path) -> Iterator[Operator]:
    """What is left after ONNX Runtime's optimizations, from the profile of one inference."""
    engine = onnxruntime_library()
    options = engine.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 3
    with tempfile.TemporaryDirectory() as folder:
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        session = engine.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, {session.get_inputs()[0].name: _black(path)})
        events = json.loads(Path(session.end_profiling()).read_text())
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            about = event["args"]
            (takes,) = about["input_type_shape"][0]
            converts = about["op_name"] in ("QuantizeLinear", "DequantizeLinear")
            yield Operator(about["op_name"], takes.startswith("float"), converts)


def of_openvino(path: Path) -> Iterator[Operator]:
    """The nodes that one inference executes, by the compiled model's own precisions."""
    engine = openvino_library()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS, "PERF_COUNT": True}
    compiled = engine.Core().compile_model(str(path), "CPU", settings)
    about = {node.get_friendly_name(): node.get_rt_info() for node in compiled.get_runtime_model().get_ops()}
    request = compiled.create_infer_request()
    request.infer([_black(path)])
    for step in request.profiling_info:
        if step.status == step.Status.EXECUTED:
            facts = about[step.node_name]
            takes, gives = (_is_float(facts[name].astype(str)) for name in ("runtimePrecision", "outputPrecisions"))
            converts = step.node_type in ("Reorder", "Convert") or (step.node_type == "Subgraph" and takes != gives)
            yield Operator(step.node_type, takes, converts)


def _is_float(precision: str) -> bool:
    return precision.lower() in ("f32", "fp32", "f16", "fp16", "bf16")


def _black(path: Path) -> Array:
    return inputs_for(open_file(path).inputs[0], np.zeros((1, 32, 32, 3), np.uint8))


READERS: Mapping[str, Callable[[Path], Iterator[Operator]]] = {
    "tflite": of_tflite,
    "onnx": of_onnx,
    "openvino": of_openvino,
}
