"""Which wheels a device needs, and how they are fetched on the workstation.

Nothing is resolved: pip evaluates markers for the Python that it runs in, not for the device's. Instead each engine has
a list of what it imports when it runs a model, which is less than what its wheel asks for, and each package one
version, that of constraints.txt.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from edgecnn.errors import UsageError, nearest
from edgecnn.storage import disk_errors

ARCHITECTURES = ("aarch64", "x86_64")
PYTHONS = ((3, 10), (3, 13))
"""The oldest and the newest that every package here has wheels for."""
VERSIONS: dict[str, tuple[tuple[int, str], ...]] = {
    "ai-edge-litert": ((10, "2.3.0"),),
    "anyio": ((10, "4.16.0"),),
    "click": ((10, "8.5.1"),),
    "exceptiongroup": ((10, "1.3.2"),),
    "h11": ((10, "0.16.0"),),
    "idna": ((10, "3.20"),),
    "numpy": ((11, "2.4.6"), (10, "2.2.6")),
    "onnxruntime": ((11, "1.31.1"), (10, "1.23.2")),
    "opencv-python-headless": ((10, "5.0.0.93"),),
    "openvino": ((10, "2026.4.1"),),
    "pip": ((10, "26.3"),),
    "sniffio": ((10, "1.3.1"),),
    "starlette": ((11, "1.10.0"), (10, "1.7.0")),
    "typing-extensions": ((10, "4.16.0"),),
    "uvicorn": ((10, "0.54.0"),),
}
"""Package -> (from this minor version of Python 3 on, version), the newest Python first."""
ENGINES = {
    "litert": ("ai-edge-litert", "numpy"),
    "onnxruntime": ("onnxruntime", "numpy"),
    "openvino": ("openvino", "numpy"),
}
"""Runtime -> what it imports to run a model, measured in environments that have nothing else."""
PAGE = ("starlette", "uvicorn", "anyio", "click", "h11", "idna", "sniffio", "typing-extensions")
"""What the camera's page imports."""
PAGE_3_10 = ("exceptiongroup",)
"""And what anyio needs of later Pythons besides, before 3.11."""
PICTURES = "opencv-python-headless"
INSTALLER = "pip"
GLIBC = {"ai-edge-litert": (2, 27), "numpy": (2, 27), "onnxruntime": (2, 28), "openvino": (2, 35)}
"""The oldest C library that a package's wheels of these versions load with; they carry it in their names."""
UNUSED = (
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
)
"""What of the packages no engine loads (a GPU's driver; ONNX Runtime a second time, for C; tools): 46 MiB of 146."""
FETCHING_S = 1800.0
CACHE = "wheels"


@dataclass(frozen=True)
class Target:
    """What decides which wheels fit: Python's version, the userland's architecture, the version of glibc."""

    python: tuple[int, int]
    architecture: str
    glibc: tuple[int, int]

    def platforms(self) -> list[str]:
        """Every platform tag that fits, one by one: pip does not know that an older glibc's wheels fit too."""
        minors = range(17, self.glibc[1] + 1)
        return [f"manylinux2014_{self.architecture}", *(f"manylinux_2_{minor}_{self.architecture}" for minor in minors)]

    def __str__(self) -> str:
        return f"cp{self.python[0]}{self.python[1]}-glibc{self.glibc[0]}.{self.glibc[1]}-{self.architecture}"


@dataclass(frozen=True, order=True)
class Pin:
    """A package in its one version."""

    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


def pin(package: str, python: tuple[int, int]) -> Pin:
    """A package's version for a Python 3."""
    return Pin(package, next(version for minor, version in VERSIONS[package] if python[1] >= minor))


def wanted(
    runtimes: Iterable[str], python: tuple[int, int], *, camera: bool = False, given: Iterable[str] = ()
) -> tuple[Pin, ...]:
    """What runtimes need, and the camera's page and pictures; `given`: packages that the system has for them.

    UsageError for a runtime that setup does not know.
    """
    packages: list[str] = []
    for runtime in runtimes:
        if runtime not in ENGINES:
            raise UsageError(f"setup does not install the runtime '{runtime}'{nearest(runtime, ENGINES)}")
        packages += ENGINES[runtime]
    if camera:
        packages += [PICTURES, *PAGE, *(PAGE_3_10 if python < (3, 11) else ())]
    return tuple(sorted({pin(package, python) for package in packages} - {pin(name, python) for name in given}))


def fetch(
    pins: Iterable[Pin],
    target: Target,
    *,
    message: Callable[[str], None] = lambda text: None,
    cache: Path | None = None,
) -> dict[Pin, Path]:
    """The wheel of each pin for a device; what is not in the cache is downloaded.

    Raises UsageError where there is no pip here or it finds none, OutOfResources where the disk is full.
    """
    folder = (cache or user_cache_path("edgecnn") / CACHE) / str(target)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        missing = [pin for pin in pins if _cached(folder, pin) is None]
        if missing:
            message(f"downloading {', '.join(map(str, missing))} for {target}")
            with tempfile.TemporaryDirectory(dir=folder, prefix=".") as part:
                _download(missing, target, Path(part))
                for wheel in Path(part).glob("*.whl"):
                    os.replace(wheel, folder / wheel.name)
    found = {pin: _cached(folder, pin) for pin in pins}
    lacking = [str(pin) for pin, path in found.items() if path is None]
    if lacking:
        raise UsageError(f"pip brought no wheel of {', '.join(lacking)} into {folder}; remove that folder, try again")
    return {pin: path for pin, path in found.items() if path is not None}


def _cached(folder: Path, pin: Pin) -> Path | None:
    name = re.sub(r"[-_.]+", "_", pin.package)
    return next(iter(sorted(folder.glob(f"{name}-{pin.version}-*.whl"))), None)


def _download(pins: list[Pin], target: Target, folder: Path) -> None:
    try:
        importlib.metadata.version("pip")  # looking for its module would switch setuptools' hook for distutils off
    except importlib.metadata.PackageNotFoundError as error:
        raise UsageError(
            f"fetching wheels for a device takes pip, which {sys.executable} does not have: "
            f"{sys.executable} -m ensurepip, or uv pip install pip"
        ) from error
    platforms = [word for platform in target.platforms() for word in ("--platform", platform)]
    version = f"{target.python[0]}.{target.python[1]}"
    abis = [word for abi in (f"cp{version.replace('.', '')}", "abi3", "none") for word in ("--abi", abi)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    command += ["--python-version", version, "--implementation", "cp", *abis, "--dest", str(folder), *map(str, pins)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCHING_S)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"pip did not fetch the wheels for {target} in {FETCHING_S:.0f} s; try again") from error
    if done.returncode != 0:
        lines = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        why = lines[-1] if lines else (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise UsageError(
            f"the wheels for {target} could not be fetched here ({why}); this machine needs a network or pip's "
            "--find-links (PIP_FIND_LINKS), the device does not"
        )
