"""LiteRT: ai-edge-litert with its XNNPACK delegate, or the older tflite-runtime behind the same door."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.edge.runtimes import Array, Port, Profile, Reading
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

    def plan(self) -> list[dict[str, Any]]:
        """The interpreter's operators in order, delegates last: index, op_name, tensors and their types."""
        found: list[dict[str, Any]] = self._interpreter._get_ops_details()
        return found

    def arena(self) -> Reading:
        """The span of the tensors that are not in the file; absent where XNNPACK computes, which lays out its own."""
        files, spans = _mapped_files(), []
        for detail in self._interpreter.get_tensor_details():
            try:
                first = self._interpreter.tensor(detail["index"])().__array_interface__["data"][0]
            except ValueError:  # no data: the delegate has it
                return Reading(None, "LiteRT's XNNPACK delegate does not tell how much it holds")
            if not any(start <= first < end for start, end in files):
                spans.append((first, first + int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize))
        span = max(end for _, end in spans) - min(first for first, _ in spans)
        if span > sum(end - first + ALIGNMENT for first, end in spans):
            return Reading(None, "LiteRT holds tensors outside its arena too, and does not tell which")
        return Reading(span)


ALIGNMENT = 64
"""Bytes: where LiteRT lets a tensor begin."""


def _mapped_files() -> list[tuple[int, int]]:
    """The addresses at which the system maps files: a model file's constants are read where they lie."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    ranges = (line.split(maxsplit=1)[0].split("-") for line in lines if "/" in line)
    return [(int(first, 16), int(end, 16)) for first, end in ranges]


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
    saturates_pairs = False
    asked_only = False

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

    def profile(self, path: Path, threads: int, arrays: Sequence[Array], runs: int) -> Profile:
        """Absent: from Python, the interpreter does not tell, and XNNPACK is one operator to it."""
        return Profile((), "LiteRT's Python interpreter does not tell what an operator takes")


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
