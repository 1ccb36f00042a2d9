"""`edgecnn predict`: pictures -> the likeliest labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.edge import artifact, pixels
from edgecnn.edge.artifact import Prediction
from edgecnn.edge.runtimes import all_runtimes, find_runtime
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
    folder = find_artifact(model)
    if runtime is not None:
        _check_reads(runtime, artifact.read_manifest(folder).target)
    opened = artifact.load(folder, runtime, threads)
    return tuple(PredictRecord(str(path), opened.predict(pixels.read(Path(path)), top)) for path in images)


def _check_reads(runtime: str, target: str) -> None:
    if target not in find_runtime(runtime).reads:
        able = ", ".join(name for name, engine in all_runtimes().items() if target in engine.reads)
        raise UsageError(f"{runtime} does not read {target} files; choose from {able}")
