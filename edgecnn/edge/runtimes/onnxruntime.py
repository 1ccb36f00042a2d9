"""ONNX Runtime on the CPU, and what it shares with onnxruntime_cuda and onnxruntime_tensorrt."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecnn.edge.runtimes import Array, OpTime, Port, Profile, Reading, typical_us
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
    """Reads .onnx files. `providers`: those that share the graph's operators among them, the first one that can."""

    name = "onnxruntime"
    reads = ("onnx",)
    extra = "onnx"
    saturates_pairs = True
    asked_only = False
    providers: tuple[str, ...] = ("CPUExecutionProvider",)

    def provider_options(self, path: Path) -> Mapping[str, str]:
        """Those of the first provider for a file."""
        return {}

    def version(self) -> str:
        """The library's version; MissingExtra where it was built without the provider."""
        engine = library()
        if self.providers[0] not in engine.get_available_providers():
            raise MissingExtra(
                f"running .onnx files in {self.name}",
                f"an onnxruntime with {self.providers[0]}",
                self.extra,
                "put NVIDIA's onnxruntime-gpu for this machine's CUDA or JetPack in the place of onnxruntime",
            )
        return f"onnxruntime {engine.__version__}"

    def open(self, path: Path, threads: int) -> OnnxRuntimeSession:
        """Open with all graph optimizations; the library's refusal, or another provider's help, is UnusableFile."""
        return OnnxRuntimeSession(self._open(path, _options(threads)))

    def _open(self, path: Path, options: Any) -> Any:
        first, *others = self.providers
        try:
            session = library().InferenceSession(
                str(path), options, providers=[(first, dict(self.provider_options(path))), *others], enable_fallback=0
            )
        except Exception as error:
            raise UnusableFile(f"{path}: ONNX Runtime can't open it ({str(error).splitlines()[0]})") from error
        if session.get_providers()[0] != first:  # it warns and takes the next one
            raise UnusableFile(
                f"{path}: {first} could not be set up, and {session.get_providers()[0]} would run it in silence; see "
                "whether the driver, CUDA and cuDNN are those that this onnxruntime was built for"
            )
        return session

    def profile(self, path: Path, threads: int, arrays: Sequence[Array], runs: int) -> Profile:
        """From the trace that the library writes: an event for each node and run."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            options = _options(threads)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "trace")
            opened = self._open(path, options)
            session = OnnxRuntimeSession(opened)
            for _ in range(runs + 1):
                session.run(*arrays)
            events = json.loads(Path(opened.end_profiling()).read_bytes())
        taken: dict[str, list[Mapping[str, Any]]] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
                taken.setdefault(f"{event['args'].get('node_index')} {event['name']}", []).append(event)
        return Profile(tuple(map(_op_time, taken.values())))


KERNEL = "_kernel_time"
"""How the events of the trace are called that are about a node's computation."""
INTEGERS = {"uint8", "int8", "int32"}


def _op_time(events: Sequence[Mapping[str, Any]]) -> OpTime:
    """A node from its events, a run each; integer where its first input and its output both are."""
    first = events[0]
    about, name = first["args"], first["name"].removesuffix(KERNEL)
    sides = [next(iter(shapes[0]), "") if shapes else "" for shapes in map(about.get, SIDES)]
    us = typical_us([float(event["dur"]) for event in events[1:] or events])
    return OpTime(name, about["op_name"], about.get("provider", ""), us, all(side in INTEGERS for side in sides))


SIDES = ("input_type_shape", "output_type_shape")


def _options(threads: int) -> Any:
    options = library().SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return options


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
