"""LiteRT: ai-edge-litert with its XNNPACK delegate, or the older tflite-runtime behind the same door."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecnn.edge.runtimes import Array, Port
from edgecnn.errors import MissingExtra, UnusableFile

LIBRARIES = (("ai_edge_litert.interpreter", "ai-edge-litert"), ("tflite_runtime.interpreter", "tflite-runtime"))


class LiteRTSession:
    """An interpreter whose tensors are allocated."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self.inputs, self.outputs = tuple(map(_port, inputs)), tuple(map(_port, outputs))
        self._inputs = [detail["index"] for detail in inputs]
        self._output = outputs[0]["index"]

    def run(self, *arrays: Array) -> Array:
        """The first output, copied out of the interpreter."""
        for index, array in zip(self._inputs, arrays, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        output: Array = self._interpreter.get_tensor(self._output)
        return output


def _port(detail: Any) -> Port:
    sizes = tuple(max(0, int(size)) for size in detail["shape_signature"])
    scale, zero_point = detail["quantization"]
    quantized = (float(scale), int(zero_point)) if scale else (None, None)
    return Port(detail["name"], sizes, detail["dtype"].__name__, *quantized)


class LiteRT:
    """Reads .tflite files."""

    name = "litert"
    reads = ("tflite",)
    extra = "tflite"

    def version(self) -> str:
        """The library found first."""
        module, package = _library()
        return f"{package} {importlib.import_module(module.__package__).__version__}"

    def open(self, path: Path, threads: int) -> LiteRTSession:
        """Open and allocate; whatever the library says against a file is UnusableFile."""
        module, _ = _library()
        try:
            with _without_greeting():
                interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UnusableFile(f"{path}: LiteRT can't open it ({str(error).splitlines()[0]})") from error
        return LiteRTSession(interpreter)


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Hold back the line that LiteRT writes to file descriptor 2 when it first makes its delegate."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _library() -> tuple[Any, str]:
    for module, package in LIBRARIES:
        try:
            return importlib.import_module(module), package
        except ImportError:
            continue
    raise MissingExtra("running .tflite files", "ai-edge-litert", LiteRT.extra)


RUNTIME = LiteRT()
