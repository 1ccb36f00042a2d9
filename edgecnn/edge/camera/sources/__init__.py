"""Where frames come from: one file a kind of source, found by looking into this folder.

A new kind is one file here with `SOURCE`, an object that has the parts of `Kind`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from edgecnn.edge.camera.addresses import shown
from edgecnn.edge.camera.frames import Captured
from edgecnn.errors import UsageError
from edgecnn.registry import discover


@dataclass(frozen=True)
class Wanted:
    """What a source is asked for; it gives what it has where it can't.

    width, height: the frame's size, None for the source's own. model_height, model_width: what the model takes, for a
    source that scales by itself. fast: a file's frames one after the other instead of at its own pace. loop: from the
    beginning again at its end. pictures_per_s: the pace of a folder's pictures.
    """

    model_height: int
    model_width: int
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    fast: bool = False
    loop: bool = False
    pictures_per_s: float = 2.0

    def __post_init__(self) -> None:
        """UsageError for a size or a rate that is not positive."""
        for what in ("width", "height", "fps", "pictures_per_s"):
            value = getattr(self, what)
            if value is not None and not value > 0:
                raise UsageError(f"a source's {what} must be more than 0, not {value:g}")


class Source(Protocol):
    """A source that is open: a `with` block that gives frames one after the other, and ends where it has no more.

    live: frames come by themselves, what is not taken in time is lost, and two equal ones in a row are no accident.
    description: for people, such as `/dev/video0: 640x480 MJPG at 30 frames/s`.
    """

    live: bool
    description: str

    def __iter__(self) -> Iterator[Captured]:
        """The frames; DeviceError where the camera is lost, UnusableFile where a file is damaged."""

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Kind(Protocol):
    """A kind of source. `usage` is how one is written, for help: `rtsp://HOST/PATH`."""

    name: str
    usage: str

    def claims(self, text: str) -> bool:
        """Whether the text names one of these; at most one kind claims a text."""

    def open(self, text: str, wanted: Wanted) -> Source:
        """Open it.

        DeviceError where it does not answer, which may pass: what was tried, which cameras there are. What does not
        pass: UnusableFile for a file or folder that can't be used, UsageError for an option that there is not or a
        library that is missing, with what to install.
        """


def kinds() -> Mapping[str, Kind]:
    """Every kind of source by name."""
    return discover(__name__, "SOURCE")


def find_kind(text: str, further: Sequence[str] = ()) -> Kind:
    """The kind that a text names; UsageError with how each is written where there is none.

    further: kinds from elsewhere, each as `module:attribute`, which come before those of this folder.
    """
    parted = (place.split(":") for place in further)
    elsewhere: list[Kind] = [getattr(importlib.import_module(module), name) for module, name in parted]
    for kind in (*elsewhere, *kinds().values()):
        if kind.claims(text):
            return kind
    known = ", ".join(kind.usage for kind in kinds().values())
    raise UsageError(f"'{shown(text)}' is no source, and no file or folder here; there are {known}")
