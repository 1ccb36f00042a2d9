"""Where in the picture a label is seen: the classifier's map form, which `edgecnn export --heatmap` puts beside it.

<target>-<precision>-map/  model file, map.json
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge.artifact import Artifact, ImageInput, Manifest, check_files, open_unchecked, read_manifest
from edgecnn.edge.pixels import Image
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.metrics import softmax
from edgecnn.records import read_json

SUFFIX = "-map"
"""Of the artifact's folder; its map's folder is called so."""
RECORD = "map.json"
KIND = "map"
"""What the model file's output is, in its manifest."""


@dataclass(frozen=True)
class ClassMap:
    """map.json: a model file that gives a classifier's logits for height x width places of the picture."""

    file: Manifest
    """Of the map's own model file."""
    height: int
    width: int
    layout: str
    """Of the output: NHWC or NCHW, C being the classes."""
    classifier: str
    """SHA-256 of the model file that it is the map form of."""
    agreement: float
    """Share of the pictures kept at export on which the map's mean names the classifier's class; rounding explains the
    rest."""
    pictures: int
    """How many those were."""
    schema: str = "edgecnn.map/1"


class HeatMap:
    """A map form that is open in a runtime."""

    def __init__(self, record: ClassMap, opened: Artifact) -> None:
        self.record, self._opened = record, opened

    @property
    def input(self) -> ImageInput:
        """What it takes, which is what its classifier takes."""
        return self.record.file.input

    def logits(self, fitted: Image) -> NDArray[Any]:
        """A picture of the model's size, uint8 [H, W, 3] RGB -> float32 [h, w, K]; their mean is the classifier's."""
        values = self._opened.values(self._opened.raw(fitted[None]))[0]
        return np.asarray(values if self.record.layout == "NHWC" else values.transpose(1, 2, 0))

    def of(self, fitted: Image, index: int) -> Image:
        """Where the label of that index is: uint8 [h, w], each place's probability of it, 255 for certainty.

        Of one place, not of the picture, and not scaled to the strongest: a label that is nowhere leaves the map dark.
        """
        return np.asarray(np.rint(255.0 * softmax(self.logits(fitted))[:, :, index]), np.uint8)


def map_folder(artifact: Path, size: tuple[int, int] | None = None) -> Path:
    """Where the map of an artifact folder lies, or that for pictures of another size (height, width)."""
    return artifact.with_name(artifact.name + SUFFIX + ("" if size is None else f"-{size[0]}x{size[1]}"))


def open_heatmap(
    artifact: Path, runtime: str | None = None, threads: int = 1, size: tuple[int, int] | None = None
) -> HeatMap:
    """Open the map beside an artifact folder, after checking its hash and that it is that artifact's.

    size: of the pictures, (height, width), for a map that `export --map-size` made.

    Raises UsageError where there is none, UnusableFile for one that is damaged or another model's.
    """
    folder = map_folder(artifact, size)
    if not (folder / RECORD).is_file():
        raise UsageError(f"{artifact}: has no heat map beside it; `edgecnn export --heatmap` makes one")
    record = read_json(ClassMap, folder / RECORD)
    if record.classifier != read_manifest(artifact).sha256:
        raise UnusableFile(f"{folder}: is the heat map of another model than {artifact}; export both again")
    check_files(folder, record.file)
    return HeatMap(record, open_unchecked(folder, record.file, runtime, threads))
