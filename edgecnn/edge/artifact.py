"""The Artifact: a model file and its manifest, the only thing that leaves the workstation; and running one.

<target>-<precision>/  model file, manifest.json, labels.txt, golden.npz
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge import pixels
from edgecnn.edge.rounding import nearest_points
from edgecnn.edge.runtimes import Session, find_runtime, runtime_for, usual_runtimes
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.metrics import softmax
from edgecnn.records import read_json
from edgecnn.storage import sha256_file

Array = NDArray[Any]
MANIFEST = "manifest.json"
OFF_GRID = 1e-3
"""Of a step: how far floats may lie beside the grid that they are on, by their own rounding."""


@dataclass(frozen=True)
class ImageInput:
    """What the model takes: uint8 pixels [1, height, width, channels], brought to size by `resize`.

    `color` is RGB, or grey where there is one channel.
    """

    name: str
    height: int
    width: int
    channels: int
    resize: str
    dtype: str = "uint8"
    layout: str = "NHWC"
    color: str = "RGB"


def image_input(name: str, size: tuple[int, int], channels: int, resize: str) -> ImageInput:
    """Pictures of a size (height, width) and of 1 or 3 channels."""
    return ImageInput(name, *size, channels, resize, color="RGB" if channels == 3 else "grey")


@dataclass(frozen=True)
class ClassOutput:
    """What the model gives: one value a class; `kind` is logits or probabilities.

    With scale and zero point an integer means scale * (integer - zero_point), and a float32 is such a value already;
    without, it is float32 on no grid.
    """

    name: str
    kind: str
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class Calibration:
    """The training pictures that activation ranges were read from; `sha256` is their fingerprint."""

    images: int
    method: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything that must be known to use a model file, and where it came from."""

    name: str
    target: str
    precision: str
    scheme: str
    model: str
    bytes: int
    sha256: str
    input: ImageInput
    output: ClassOutput
    labels: tuple[str, ...]
    parents: Mapping[str, str]
    """sha256 of the checkpoint and graphs that the file was made from, by name."""
    versions: Mapping[str, str]
    companions: Mapping[str, str] = field(default_factory=dict)
    """sha256 of further files that belong to the model, by name (OpenVINO's .bin)."""
    calibration: Calibration | None = None
    instruction_sets: tuple[str, ...] = ()
    """Those of the machine that the golden outputs were computed on."""
    temperature: float = 1.0
    """What logits are divided by before their softmax, so that percentages mean something; 1 where the file gives
    probabilities, which have left it as they are."""
    unsure_below: float | None = None
    """Below this probability of the likeliest label an answer is better called unsure; None: nobody measured it."""
    schema: str = "edgecnn.manifest/1"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0.0):
            raise UnusableFile(f"temperature: expected a number over 0, got {self.temperature!r}")


@dataclass(frozen=True)
class Prediction:
    """One answer; `probability` in 0..1."""

    label: str
    probability: float


class Artifact:
    """An artifact folder whose model file is open in a runtime."""

    def __init__(self, folder: Path, manifest: Manifest, session: Session) -> None:
        self.folder, self.manifest, self._session = folder, manifest, session

    def raw(self, images: Array) -> Array:
        """uint8 [N, H, W, C] at the model's size -> [N, K] in the file's own type."""
        return np.concatenate([self._session.run(images[i : i + 1]) for i in range(len(images))])

    def values(self, raw: Array) -> Array:
        """The file's own values as float32."""
        output = self.manifest.output
        if raw.dtype.kind == "f" or output.scale is None or output.zero_point is None:
            return raw.astype(np.float32)
        return np.asarray((raw.astype(np.float32) - output.zero_point) * np.float32(output.scale))

    def points(self, raw: Array) -> Array:
        """An int8 file's own values as uint8 on its grid: themselves, but where it answers in floats; others as is."""
        output = self.manifest.output
        if raw.dtype.kind != "f" or output.scale is None or output.zero_point is None:
            return raw
        return nearest_points(raw, output.scale, output.zero_point)

    def off_grid(self, raw: Array) -> float:
        """How far answers lie beside the manifest's grid at most, in steps; 0 for integers and where there is none."""
        output = self.manifest.output
        if raw.dtype.kind != "f" or output.scale is None:
            return 0.0
        return float(np.abs(raw - self.values(self.points(raw))).max() / output.scale)

    def probabilities(self, image: Array) -> Array:
        """A picture of any size, uint8 [H, W, 3] RGB -> float32 [K]."""
        given = self.manifest.input
        return self.answer(pixels.fit(image, given.height, given.width, given.resize, given.channels)[None])

    def answer(self, fitted: Array) -> Array:
        """One picture at the model's size, uint8 [1, H, W, C] -> the probability of each class, float32 [K]."""
        values = self.values(self._session.run(fitted))[0]
        return softmax(values / self.manifest.temperature) if self.manifest.output.kind == "logits" else values

    def predict(self, image: Array, top: int = 5) -> tuple[Prediction, ...]:
        """The likeliest labels of a picture of any size, uint8 [H, W, 3] RGB."""
        return self.likeliest(self.probabilities(image), top)

    def likeliest(self, probabilities: Array, top: int = 5) -> tuple[Prediction, ...]:
        """The first `top` of float32 [K] probabilities; of equal ones the lower class first.

        One look through all of them for each: a few are found sooner than all are sorted.
        """
        left, labels, found = probabilities.copy(), self.manifest.labels, []
        for _ in range(min(top, len(left))):
            best = int(left.argmax())
            found.append(Prediction(labels[best], float(left[best])))
            left[best] = -np.inf
        return tuple(found)


def read_manifest(folder: Path) -> Manifest:
    """An artifact's manifest; UnusableFile where the folder holds none."""
    if not (folder / MANIFEST).is_file():
        raise UnusableFile(f"{folder}: is no artifact (it has no {MANIFEST}); `edgecnn export` makes one")
    return read_json(Manifest, folder / MANIFEST)


def check_files(folder: Path, manifest: Manifest) -> None:
    """UnusableFile where a model file is not the one that the manifest describes."""
    for name, expected in {manifest.model: manifest.sha256, **manifest.companions}.items():
        path = folder / name
        if not path.is_file():
            raise UnusableFile(f"{path}: is missing; export it again")
        if sha256_file(path) != expected:
            raise UnusableFile(
                f"{path}: is damaged or was changed (its SHA-256 is not the manifest's); export it again"
            )


def load(path: Path | str, runtime: str | None = None, threads: int = 1) -> Artifact:
    """Open an artifact folder, or the model file in one, after checking its hash.

    Raises UnusableFile for what is damaged, MissingExtra where no engine that reads it is installed.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    return open_unchecked(folder, manifest, runtime, threads)


def open_unchecked(folder: Path, manifest: Manifest, runtime: str | None = None, threads: int = 1) -> Artifact:
    """Open an artifact whatever its hash says; verify measures changed files too.

    UsageError for a runtime that does not read the format.
    """
    engine = find_runtime(runtime) if runtime else runtime_for(manifest.target)
    if manifest.target not in engine.reads:
        able = ", ".join(name for name, other in usual_runtimes().items() if manifest.target in other.reads)
        raise UsageError(f"{engine.name} does not read {manifest.target} files; choose from {able}")
    return Artifact(folder, manifest, engine.open(folder / manifest.model, threads))
