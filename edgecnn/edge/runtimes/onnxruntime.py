"""ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from edgecnn.edge.runtimes import Array, Port, Reading
from edgecnn.errors import MissingExtra, UnusableFile


class OnnxRuntimeSession:
    """An InferenceSession and the names of its inputs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = tuple(map(_port, session.get_inputs()))
        self.outputs = tuple(map(_port, session.get_outputs()))
        self._inputs = [port.name for port in self.inputs]

    def run(self, *arrays: Array) -> Array:
        """The first output."""
        output: Array = self._session.run(None, dict(zip(self._inputs, arrays, strict=True)))[0]
        return output

    def arena(self) -> Reading:
        """Absent."""
        return Reading(None, "ONNX Runtime does not tell how much its arena holds")


DTYPES = {"float": "float32", "double": "float64"}
"""ONNX's names for element types, where numpy has others."""


def _port(given: Any) -> Port:
    kind = given.type.removeprefix("tensor(").removesuffix(")")
    sizes = tuple(size if isinstance(size, int) else 0 for size in given.shape)
    return Port(given.name, sizes, DTYPES.get(kind, kind))


class OnnxRuntime:
    """Reads .onnx files."""

    name = "onnxruntime"
    reads = ("onnx",)
    extra = "onnx"
    saturates_pairs = True

    def version(self) -> str:
        """The library's version."""
        return f"onnxruntime {library().__version__}"

    def open(self, path: Path, threads: int) -> OnnxRuntimeSession:
        """Open with all graph optimizations; the library's refusal is UnusableFile."""
        engine = library()
        options = engine.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        try:
            session = engine.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UnusableFile(f"{path}: ONNX Runtime can't open it ({str(error).splitlines()[0]})") from error
        return OnnxRuntimeSession(session)


def library() -> Any:
    """The module, its reports to its makers turned off; MissingExtra where it is not installed.

    It writes an identity into the user's cache and looks up a host from a thread of its own, which can hang a process
    that forks meanwhile.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtra("running .onnx files", "onnxruntime", OnnxRuntime.extra) from error


RUNTIME = OnnxRuntime()
