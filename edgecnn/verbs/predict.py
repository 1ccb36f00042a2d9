"""`edgecnn predict`: pictures -> the likeliest labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.data.walk import find_pictures
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
    for path in _files(images):
        try:
            image = pixels.read(path)
        except UnusableFile as error:
            if unusable is None:
                raise
            unusable(error)
            continue
        records.append(PredictRecord(str(path), opened.predict(image, top)))
    return tuple(records)


def _files(images: Sequence[Path | str]) -> Iterator[Path]:
    """The files, in the order given; a folder's sorted. UnusableFile for a folder without pictures."""
    for path in map(Path, images):
        if not os.path.isdir(path):
            yield path
            continue
        found, _ = find_pictures(path)
        if not found:
            raise UnusableFile(f"{path}: is a folder without pictures ({', '.join(SUFFIXES)})")
        yield from found
