"""Engines that run a model file: one file each, found by looking into this folder.

A new engine is one file here with `RUNTIME`, an object that has the parts of `Runtime`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgecnn.errors import MissingExtra, UsageError
from edgecnn.registry import discover, look_up

Array = NDArray[Any]
SUFFIXES = {".tflite": "tflite", ".onnx": "onnx", ".xml": "openvino", ".null": "null"}
"""How a model file's name ends -> the format that runtimes read."""
COMPANIONS = {".xml": (".bin",)}
"""How a model file's name ends -> how the names of further files end that belong to it."""


@dataclass(frozen=True)
class Port:
    """One of a model's inputs or outputs, as its file declares it.

    `shape` has 0 where the file leaves a size open; `dtype` is numpy's name for it. With a scale, an integer value
    stands for scale * (value - zero_point); formats that say this by operations in the graph have none here.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Reading:
    """A figure that an engine may know about itself, or the reason why it could not be had."""

    value: int | None
    reason: str | None = None


@dataclass(frozen=True)
class OpTime:
    """What one operator took, as its engine ran it: fused, reordered, with what it put between.

    us: of one inference. kernel: what the engine says of its implementation; empty where it says nothing. integer:
    whether it computed with integers; None where the engine does not tell.
    """

    name: str
    type: str
    kernel: str
    us: float
    integer: bool | None


@dataclass(frozen=True)
class Profile:
    """The operators of a model in the order in which they ran, or the reason why they could not be had."""

    ops: tuple[OpTime, ...]
    reason: str | None = None


def typical_us(durations_us: Sequence[float]) -> float:
    """The mean of all but the slowest tenth: engines count in whole microseconds, and are put off now and then."""
    kept = sorted(durations_us)[: max(1, len(durations_us) * 9 // 10)]
    return sum(kept) / len(kept)


class Session(Protocol):
    """A model file that is open and ready."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, *arrays: Array) -> Array:
        """The first output for the inputs, in the order that the file names them; the array is the caller's to keep."""

    def arena(self) -> Reading:
        """Bytes that intermediate results are laid out in, where the engine tells; asked before the first run."""


class Runtime(Protocol):
    """An engine. `reads` are the formats it takes, `extra` is what installs it.

    `saturates_pairs`: on x86 without VNNI it adds products of int8 in pairs, in 16 bits, which may be too few.
    `asked_only`: it is used where somebody names it, and never because it reads a file.
    """

    name: str
    reads: tuple[str, ...]
    extra: str
    saturates_pairs: bool
    asked_only: bool

    def version(self) -> str:
        """Library and version, such as `ai-edge-litert 2.3.0`; MissingExtra where it is not installed."""

    def open(self, path: Path, threads: int) -> Session:
        """Open a model file; UnusableFile where the engine refuses it, MissingExtra without the engine."""

    def profile(self, path: Path, threads: int, arrays: Sequence[Array], runs: int) -> Profile:
        """What each operator of a file takes, over so many runs and one before; raises what `open` raises."""


def all_runtimes() -> Mapping[str, Runtime]:
    """Every engine of this folder by name, installed or not."""
    return discover(__name__, "RUNTIME")


def usual_runtimes() -> Mapping[str, Runtime]:
    """Those that are used unasked."""
    return {name: runtime for name, runtime in all_runtimes().items() if not runtime.asked_only}


def find_runtime(name: str) -> Runtime:
    """The engine of a name; UsageError with the nearest where there is none."""
    return look_up("runtime", name, all_runtimes())


def format_of(path: Path) -> str:
    """The format that a file's name says; UsageError where it says none."""
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(suffix for suffix in SUFFIXES if suffix != ".null")
        raise UsageError(f"{path}: is no model file by its name; they end in {known}")
    return SUFFIXES[path.suffix.lower()]


def runtime_for(form: str) -> Runtime:
    """The first installed engine that reads a format; MissingExtra where none is installed."""
    able = [runtime for runtime in usual_runtimes().values() if form in runtime.reads]
    if not able:
        raise UsageError(f"no runtime reads the format '{form}'")
    first: MissingExtra | None = None
    for runtime in able:
        try:
            runtime.version()
        except MissingExtra as error:
            first = first or error
        else:
            return runtime
    assert first is not None, "every able engine was missing"
    raise first
