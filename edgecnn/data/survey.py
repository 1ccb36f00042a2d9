"""Looking at every picture once, before it is known what for: its size, its thumbnail, when it was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.duplicates import SIDE, thumbnail
from edgecnn.data.files import Files, Progress
from edgecnn.data.pictures import Broken, blank
from edgecnn.data.shots import Shot, shots_of
from edgecnn.edge import pixels
from edgecnn.edge.headers import exif_block, read_header
from edgecnn.errors import UnusableFile
from edgecnn.storage import sha256


@dataclass(frozen=True)
class Seen:
    """A picture that can be used. height, width: pixels, upright; sha256: of the file; shots: what its time is."""

    height: int
    width: int
    sha256: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Survey:
    """files: those that can be used, each with a `Seen` and a thumbnail, uint8 [N, 16, 16, 3]; and those that can't."""

    files: Files
    seen: tuple[Seen, ...]
    thumbnails: NDArray[np.uint8]
    broken: tuple[Broken, ...]


def look_through(files: Files, progress: Progress = lambda done, total: None) -> Survey:
    """Decode every picture, once. Raises OutOfResources where not even the thumbnails fit into memory."""
    thumbnails = blank(len(files), SIDE, SIDE)
    seen: dict[int, Seen] = {}

    def look(number: int, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
        image = pixels.decode(content, str(path))
        thumbnails[number] = thumbnail(image)
        shots = shots_of(path.name, exif_block(content, read_header(content, str(path))))
        seen[number] = Seen(image.shape[0], image.shape[1], sha256(content), shots)

    broken = files.read_each(look, progress)
    good = np.array(sorted(seen), np.int64)
    return Survey(files.take(good), tuple(seen[number] for number in sorted(seen)), thumbnails[good], broken)


def joined(surveys: Sequence[Survey]) -> Survey:
    """Several as one, in their order; their classes have to be places among the same labels."""
    files = [survey.files for survey in surveys]
    return Survey(
        Files(
            tuple(path for part in files for path in part.paths),
            tuple(name for part in files for name in part.names),
            np.concatenate([part.classes for part in files]),
        ),
        tuple(seen for survey in surveys for seen in survey.seen),
        np.concatenate([survey.thumbnails for survey in surveys]),
        tuple(broken for survey in surveys for broken in survey.broken),
    )
