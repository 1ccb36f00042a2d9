"""`edgecnn predict`: pictures -> the likeliest labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.edge import artifact, pixels
from edgecnn.edge.artifact import Prediction
from edgecnn.errors import UsageError
from edgecnn.verbs.folders import find_artifact


@dataclass(frozen=True)
class PredictRecord:
    """One picture's answer, likeliest first."""

    image: str
    top: tuple[Prediction, ...]
    schema: str = "edgecnn.predict/1"


def predict(
    model: Path | str, images: Sequence[Path | str], *, top: int = 5, runtime: str | None = None, threads: int = 1
) -> tuple[PredictRecord, ...]:
    """Classify picture files with an artifact, a run's artifact or a packaged model.

    Raises UnusableFile for a picture or model that can't be used, UsageError for a name that is not there.
    """
    if not images:
        raise UsageError("no picture was given")
    opened = artifact.load(find_artifact(model), runtime, threads)
    return tuple(PredictRecord(str(path), opened.predict(pixels.read(Path(path)), top)) for path in images)
