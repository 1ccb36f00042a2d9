"""`edgecnn doctor`: what is installed, what is missing, and the command that mends it."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from edgecnn import __version__
from edgecnn.edge.machine import instruction_sets
from edgecnn.train.compilers import WANTED, cxx

LIBRARIES = (
    ("train", "training", ("torch", "torchvision", "safetensors", "matplotlib")),
    ("export", "exporting and quantizing", ("torch", "onnx", "onnxscript", "onnxruntime", "flatbuffers")),
    ("tflite", "writing and running .tflite", ("ai-edge-litert", "flatbuffers")),
    ("onnx", "running .onnx", ("onnxruntime",)),
    ("openvino", "writing and running OpenVINO files", ("openvino",)),
    ("timm", "timm's classifiers in recipes", ("timm",)),
    ("camera", "the camera's page", ("starlette", "uvicorn")),
)


@dataclass(frozen=True)
class Feature:
    """One extra: what it is for, what of it is installed (name to version), what is missing, and the mend."""

    extra: str
    purpose: str
    installed: dict[str, str]
    missing: tuple[str, ...]
    command: str | None


@dataclass(frozen=True)
class DoctorRecord:
    """This installation. notes: what else is missing, and for what."""

    edgecnn: str
    python: str
    architecture: str
    instruction_sets: tuple[str, ...]
    features: tuple[Feature, ...]
    notes: tuple[str, ...] = ()
    schema: str = "edgecnn.doctor/1"


def doctor() -> DoctorRecord:
    """Look at what is installed; nothing is imported."""
    features = tuple(_feature(*entry) for entry in LIBRARIES)
    python, machine = platform.python_version(), platform.machine()
    return DoctorRecord(__version__, python, machine, instruction_sets(), features, _notes())


def _notes() -> tuple[str, ...]:
    notes = []
    if cxx() is None:
        notes.append(f"for faster training on a CPU: {WANTED}")
    if shutil.which("ssh") is None:
        notes.append("for other devices: there is no ssh here; install OpenSSH's client (openssh-client)")
    return tuple(notes)


def _feature(extra: str, purpose: str, packages: tuple[str, ...]) -> Feature:
    installed, missing = {}, []
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    command = f"pip install 'edgecnn[{extra}]'" if missing else None
    return Feature(extra, purpose, installed, tuple(missing), command)
