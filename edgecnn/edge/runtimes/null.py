"""An engine without a library: it tells classes apart by brightness. It lets everything around an engine be tested."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from edgecnn.edge.runtimes import Array, OpTime, Port, Profile, Reading, typical_us
from edgecnn.errors import UnusableFile


class NullSession:
    """`classes` equal steps of brightness."""

    def __init__(self, classes: int) -> None:
        self.inputs, self.outputs = (Port("image", (0, 0, 0, 0), "uint8"),), (Port("logits", (0, classes), "float32"),)
        self._centres = (np.arange(classes) + 0.5) * 256.0 / classes

    def run(self, *arrays: Array) -> Array:
        """float32 [N, classes]: minus the distance of each picture's mean pixel to each class's brightness."""
        (image,) = arrays
        mean = image.reshape(len(image), -1).mean(axis=1)
        return np.asarray(-np.abs(mean[:, None] - self._centres), np.float32)

    def arena(self) -> Reading:
        """The means: all that is kept between two steps."""
        return Reading(8)


class Null:
    """Reads .null files: JSON with the number of classes."""

    name = "null"
    reads = ("null",)
    extra = "dev"
    saturates_pairs = False
    asked_only = False

    def version(self) -> str:
        """It is part of edgecnn."""
        return "null 1"

    def open(self, path: Path, threads: int) -> NullSession:
        """UnusableFile where the file is no such JSON."""
        try:
            return NullSession(int(json.loads(path.read_text())["classes"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnusableFile(f"{path}: is no null model ({error})") from error

    def profile(self, path: Path, threads: int, arrays: Sequence[Array], runs: int) -> Profile:
        """Two operators: the mean of the picture, in floating point, and its distances."""
        session = self.open(path, threads)
        taken_us = []
        for _ in range(runs):
            began = perf_counter_ns()
            session.run(*arrays)
            taken_us.append((perf_counter_ns() - began) / 1e3)
        each_us = typical_us(taken_us) / 2
        return Profile(
            (
                OpTime("mean", "Mean", "numpy_u8", each_us, True),
                OpTime("distances", "Sub", "numpy_f64", each_us, False),
            )
        )


RUNTIME = Null()
