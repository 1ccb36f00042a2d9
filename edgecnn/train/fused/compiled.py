"""kernels.cpp as shared libraries, one for each type of value, compiled for this machine and kept in the cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from edgecnn.data.places import cache_dir
from edgecnn.errors import UsageError
from edgecnn.train.compilers import WANTED, cxx

VALUES = {torch.bfloat16: "VALUE_BFLOAT16", torch.float32: "VALUE_FLOAT32"}
LANES = 16
"""kernels.cpp: WIDTH."""
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fopenmp", "-fPIC")
SECONDS = 120.0
"""Compiling takes five; a compiler that hangs is given up."""

POINTER, LONG, DOUBLE, FLOAT = ctypes.c_void_p, ctypes.c_long, ctypes.c_double, ctypes.c_float
SIGNATURES = {
    "norm_forward": [*[POINTER] * 2, *[LONG] * 3, *[POINTER] * 2, *[DOUBLE] * 2, *[POINTER] * 4, *[FLOAT] * 2],
    "norm_backward": [*[POINTER] * 3, *[LONG] * 3, *[POINTER] * 6, *[FLOAT] * 2],
    "depthwise_forward": [*[POINTER] * 3, *[LONG] * 10],
    "depthwise_backward": [*[POINTER] * 5, *[LONG] * 10],
}


class NotCompiled(UsageError):
    """There is no compiler, or it failed; `reason` says which and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"train.fused=true: {reason}; or begin a run with train.fused=false")
        self.reason = reason


def takes(input: Tensor) -> bool:
    """Whether the kernels read a picture [N, C, H, W]: on a CPU, channels-last, of a type that they are made for."""
    return (
        input.device.type == "cpu" and input.dtype in VALUES and input.is_contiguous(memory_format=torch.channels_last)
    )


@cache
def kernels(dtype: torch.dtype) -> ctypes.CDLL:
    """The functions for values of a type; compiled at the first call on this machine. NotCompiled where that fails."""
    library = _library(dtype)
    for name, arguments in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    return library


def _library(dtype: torch.dtype) -> ctypes.CDLL:
    found = cxx()
    if found is None:
        raise NotCompiled(WANTED)
    command = [found, *FLAGS, *_for_this_processor(), f"-D{VALUES[dtype]}"]
    with resources.as_file(resources.files(__package__) / "kernels.cpp") as source, _folder() as folder:
        try:
            kept = folder / f"{_name(command, source)}.so"
            if not kept.is_file():
                _compile(command, source, kept)
            return ctypes.CDLL(str(kept))
        except OSError as error:
            raise NotCompiled(str(error)) from error


def _for_this_processor() -> tuple[str, ...]:
    if platform.machine() in ("x86_64", "AMD64"):
        return ("-march=native", "-mprefer-vector-width=512")
    return ("-mcpu=native",)


@contextmanager
def _folder() -> Iterator[Path]:
    """Where libraries are kept; in a cache folder that can't be written to, one that goes once they are loaded."""
    folder = cache_dir() / "kernels"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="edgecnn-kernels-") as made:
            yield Path(made)


def _name(command: list[str], source: Path) -> str:
    """Another one for another source, way of compiling, compiler, processor or torch."""
    sources, version = source.read_bytes() + Path(__file__).read_bytes(), _run([command[0], "--version"]).encode()
    parts = [sources, version, _processor(), "\0".join(command).encode(), torch.__version__.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> bytes:
    """What -march=native looks at, or something as telling: a home folder may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return b"\n".join(sorted({line for line in lines if line.startswith((b"flags", b"Features", b"model name"))}))


def _compile(command: list[str], source: Path, kept: Path) -> None:
    """Compile and link, the second without the compiler's OpenMP: the functions are to share torch's, and its threads.

    A second OpenMP would have threads of its own, which spin beside torch's for the same cores.
    """
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="compiling-") as folder:
        made, linked = Path(folder) / "kernels.o", Path(folder) / "kernels.so"
        _run([*command, "-c", str(source), "-o", str(made)])
        _run([command[0], "-shared", "-o", str(linked), str(made)])
        linked.replace(kept)


def _run(command: list[str]) -> str:
    """Its standard output."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotCompiled(f"{command[0]} did not come back within {SECONDS:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        told = next((line for line in lines if "error" in line.lower()), lines[0])
        raise NotCompiled(f"{command[0]} failed: {told.strip()}")
    return done.stdout
