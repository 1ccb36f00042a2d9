"""OpenVINO on the CPU, at full precision: its default may be bfloat16, which moves the answers."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecnn.edge.runtimes import Array, OpTime, Port, Profile, Reading, typical_us
from edgecnn.errors import MissingExtra, UnusableFile, reason

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


class OpenVINOSession:
    """An inference request of a compiled model."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self.inputs, self.outputs = tuple(map(_port, compiled.inputs)), tuple(map(_port, compiled.outputs))

    def run(self, *arrays: Array) -> Array:
        """The first output, copied out of the request."""
        results = self._request.infer(list(arrays), share_inputs=True, share_outputs=True)
        output: Array = results[0].copy()
        return output

    def arena(self) -> Reading:
        """Absent."""
        return Reading(None, "OpenVINO does not tell how much its CPU plugin holds for intermediate results")


def _port(given: Any) -> Port:
    sizes = tuple(0 if size.is_dynamic else size.get_length() for size in given.get_partial_shape())
    name = given.get_any_name() if given.get_names() else ""
    return Port(name, sizes, given.get_element_type().to_dtype().name)


class OpenVINO:
    """Reads .xml files with their .bin; .onnx files too."""

    name = "openvino"
    reads = ("openvino", "onnx")
    extra = "openvino"
    saturates_pairs = True
    asked_only = False

    def version(self) -> str:
        """The library's version."""
        return f"openvino {library().__version__.split('-')[0]}"

    def open(self, path: Path, threads: int) -> OpenVINOSession:
        """Compile for latency; the library's refusal is UnusableFile."""
        return OpenVINOSession(_compiled(path, {**SETTINGS, "INFERENCE_NUM_THREADS": threads}))

    def profile(self, path: Path, threads: int, arrays: Sequence[Array], runs: int) -> Profile:
        """From the plugin's counters: an operator's kernel ends with the type that it computes in (`..._i8`)."""
        settings = {**SETTINGS, "INFERENCE_NUM_THREADS": threads, "PERF_COUNT": "YES"}
        compiled = _compiled(path, settings)
        names, request = _names(compiled), compiled.create_infer_request()
        taken: dict[str, list[Any]] = {}
        for run in range(runs + 1):
            request.infer(list(arrays), share_inputs=True)
            for counter in request.profiling_info if run else ():
                if str(counter.status).endswith(".EXECUTED"):
                    taken.setdefault(counter.node_name, []).append(counter)
        return Profile(tuple(_op_time(names.get(node, node), counters) for node, counters in taken.items()))


INTEGER = re.compile(r"_[iu](8|4|16|32)$", re.IGNORECASE)
FLOAT = re.compile(r"_(f|bf)(16|32|64)$", re.IGNORECASE)
NUMBERED = re.compile(r"[A-Z]\w*_\d+")
"""A name that OpenVINO gives to what has none."""


def _names(compiled: Any) -> dict[str, str]:
    """What the file calls the nodes that the plugin has numbered anew, by the plugin's names."""
    names = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        known = str(node.get_rt_info()["originalLayersNames"].value).split(",")
        known = [name for name in known if name and not NUMBERED.fullmatch(name)]
        if known and NUMBERED.fullmatch(node.get_friendly_name()):
            names[node.get_friendly_name()] = known[-1].removesuffix(".dq")
    return names


def _op_time(name: str, counters: Sequence[Any]) -> OpTime:
    """An operator from its counters, a run each."""
    first, kernel = counters[0], counters[0].exec_type
    integer = True if INTEGER.search(kernel) else False if FLOAT.search(kernel) else None
    us = typical_us([counter.real_time.total_seconds() * 1e6 for counter in counters])
    return OpTime(name, first.node_type, kernel, us, integer)


def _compiled(path: Path, settings: Mapping[str, Any]) -> Any:
    try:
        return library().Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise UnusableFile(f"{path}: OpenVINO can't open it ({reason(error)})") from error


def library() -> Any:
    """The module, its reports to its makers turned off; MissingExtra where it is not installed.

    Its converter forks a reporter, unless the package that does so can't be imported: OpenVINO has a stub for that.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingExtra("running OpenVINO files", "openvino", OpenVINO.extra) from error


RUNTIME = OpenVINO()
