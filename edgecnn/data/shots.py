"""When and by what a picture was taken, by its EXIF block and by its file's name; which shots are one burst.

Shots of one camera within a moment show the same thing: one of them in train and another in test makes an accuracy come
out too high, even where they differ too much to be found as near-duplicates. The file's own time is no evidence:
copying a folder gives all its files one.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import PurePath

from edgecnn.edge import exif

BURST_S = 2.0
"""The longest pause between two shots of a burst: EXIF mostly has whole seconds."""
CUT_S = 30.0
"""How long a burst may be where longer ones leave nothing to split: a session of `camera --record` is one chain."""

_STAMP = re.compile(
    r"(?<!\d)((?:19|20)\d\d)-?(\d\d)-?(\d\d)[-_ T.]?(\d\d)[-.:]?(\d\d)[-.:]?(\d\d)(?:[.,]?(\d{1,3}))?(?!\d)"
)
"""20261125-034501.123, IMG_20240102_123456, PXL_20240102_123456789, 2026-11-25T03-45-01.123, 2024-01-02 12.34.56."""
_EXIF_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")


@dataclass(frozen=True)
class Shot:
    """source: the camera, or what the names of its files begin with. seconds: since some moment, the same for all."""

    source: str
    seconds: float


def shots_of(name: str, tiff: bytes) -> tuple[Shot, ...]:
    """What a picture file's name and its EXIF block say; none, one or two."""
    return tuple(shot for shot in (_named(PurePath(name).stem), _recorded(tiff)) if shot is not None)


def bursts(shots: Sequence[Sequence[Shot]], longest_s: float = math.inf) -> Iterator[tuple[int, int]]:
    """Pairs of places in `shots` (a picture's each) that follow each other within BURST_S, from the same source.

    Folders don't matter: the shots of a burst may have been sorted into several classes. One that lasts longer than
    `longest_s` is cut into such as don't.
    """
    by_source: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for place, of_picture in enumerate(shots):
        for shot in of_picture:
            by_source[shot.source].append((shot.seconds, place))
    for taken in by_source.values():
        taken.sort()
        began = taken[0][0]
        for (before, one), (after, other) in pairwise(taken):
            if after - before > BURST_S or after - began > longest_s:
                began = after
            elif one != other:
                yield one, other


def _named(stem: str) -> Shot | None:
    found = _STAMP.search(stem)
    if found is None:
        return None
    *parts, fraction = found.groups()
    return _shot(f"file {stem[: found.start()]}", parts, fraction or "")


def _recorded(tiff: bytes) -> Shot | None:
    taken, fraction, model = exif.taken(tiff)
    found = _EXIF_TIME.fullmatch(taken)
    return None if found is None else _shot(f"camera {model}", found.groups(), fraction)


def _shot(source: str, parts: Sequence[str], fraction: str) -> Shot | None:
    """Of year, month, day, hour, minute, second and the digits behind the point; None for what is no time."""
    try:
        moment = datetime(*(int(part) for part in parts))  # type: ignore[arg-type]
    except ValueError:
        return None
    digits = fraction if fraction.isdecimal() else ""
    return Shot(source, (moment - datetime(1970, 1, 1)).total_seconds() + float(f"0.{digits or 0}"))
