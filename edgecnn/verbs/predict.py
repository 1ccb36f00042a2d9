"""`edgecnn predict`: pictures -> the likeliest labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.data.walk import find_pictures, holds_pictures, passed_over
from edgecnn.edge import artifact, pixels
from edgecnn.edge.artifact import Prediction
from edgecnn.edge.headers import SUFFIXES
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.verbs.folders import find_artifact


@dataclass(frozen=True)
class PredictRecord:
    """One picture's answer, likeliest first."""

    image: str
    top: tuple[Prediction, ...]
    schema: str = "edgecnn.predict/1"


def predict(
    model: Path | str,
    images: Sequence[Path | str],
    *,
    top: int = 5,
    runtime: str | None = None,
    threads: int = 1,
    unusable: Callable[[UnusableFile], None] | None = None,
) -> tuple[PredictRecord, ...]:
    """Classify picture files, and all those below folders, with an artifact, a run's artifact or a packaged model.

    Raises UnusableFile for a picture or model that can't be used, UsageError for a name that is not there. With
    `unusable`, pictures that can't be used are told to it and left out.
    """
    if not images:
        raise UsageError("no picture was given")
    opened = artifact.load(find_artifact(model), runtime, threads)
    records = []
    for given in map(Path, images):
        for path in _files(given, unusable or _refuse):
            try:
                image = pixels.read(path)
            except UnusableFile as error:
                (unusable or _refuse)(error)
                continue
            records.append(PredictRecord(str(path), opened.predict(image, top)))
    return tuple(records)


def _refuse(error: UnusableFile) -> None:
    raise error


def _files(given: Path, unusable: Callable[[UnusableFile], None]) -> list[Path]:
    """The file, or those of a folder, sorted; `unusable` hears of a folder without any, or with others beside them."""
    if not os.path.isdir(given):
        return [given]
    found, others = find_pictures(given)
    said = passed_over(given, {str(given): others})
    if not found:
        kinds = ", ".join(SUFFIXES)
        unusable(UnusableFile(f"{given}: is a folder without pictures ({kinds}){f'; {said}' if said else ''}"))
    elif holds_pictures(others):
        unusable(UnusableFile(said))
    return found
