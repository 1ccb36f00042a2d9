"""A camera that is not there: a moving scene, at its own rate, with faults on request.

    fake://?width=1280&height=720&fps=60&fault=block@100

It lets the whole camera be tried without one, and what watches over cameras be tested through the command line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import parse_qsl

from edgecnn.edge.camera.addresses import has_scheme
from edgecnn.edge.camera.clock import Pace
from edgecnn.edge.camera.frames import Captured
from edgecnn.edge.camera.scenery import Scenery
from edgecnn.edge.camera.sources import Wanted
from edgecnn.errors import DeviceError, UsageError, nearest

WIDTH, HEIGHT, FPS = 640, 480, 30.0
LARGEST = 4096
FASTEST = 1000.0
FAULTS = ("block", "nothing", "repeat", "vanish")
"""block: a read that never returns. nothing: reads return, without a frame. repeat: the same frame for ever, as from a
camera that has hung up. vanish: unplugged."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, from which frame on."""

    kind: str
    frame: int


NO_FAULT = Fault("none", 0)


def options(text: str, known: tuple[str, ...]) -> Mapping[str, str]:
    """What stands behind the ? of an address; UsageError for a name that is not among the known."""
    found = dict(parse_qsl(text.partition("?")[2], keep_blank_values=True))
    for name in found:
        if name not in known:
            raise UsageError(f"{text}: has no option '{name}'{nearest(name, known)}")
    return found


def read_fault(said: str | None) -> Fault:
    """`block@100` -> a fault; none for None. UsageError for anything else."""
    if said is None:
        return NO_FAULT
    kind, _, frame = said.partition("@")
    if kind not in FAULTS or not (frame.isascii() and frame.isdigit()):
        raise UsageError(f"fault={said}: is no fault; write one of {', '.join(FAULTS)} and its first frame: block@100")
    return Fault(kind, int(frame))


class FakeSource:
    """The scene, frame by frame."""

    live = True

    def __init__(self, text: str, scenery: Scenery, fps: float, fault: Fault) -> None:
        self._text, self._scenery, self._fps, self._fault = text, scenery, fps, fault
        self._pace = Pace()
        self.description = f"{text}: a moving scene at {fps:g} frames/s"

    def __iter__(self) -> Iterator[Captured]:
        number = 0
        while True:
            wrong = self._fault if number >= self._fault.frame else NO_FAULT
            if wrong.kind == "vanish":
                raise DeviceError(f"{self._text}: the camera is lost, as it was asked to be")
            while wrong.kind == "block":
                time.sleep(60)
            seen = wrong.frame if wrong.kind == "repeat" else number
            frame = self._scenery.draw(seen)  # before it is due: drawing is no part of its age
            due_ns = self._pace.wait(number / self._fps)
            number += 1
            if wrong.kind != "nothing":
                yield Captured(frame, "rgb", due_ns)

    def __enter__(self) -> FakeSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""


class Fake:
    """Options in the address go before what is wanted."""

    name = "fake"
    usage = "fake://"

    def claims(self, text: str) -> bool:
        """By the scheme."""
        return has_scheme(text, "fake")

    def open(self, text: str, wanted: Wanted) -> FakeSource:
        """UsageError for an option that there is not, or a value that makes no sense."""
        said = options(text, ("width", "height", "fps", "fault"))
        width = round(_number(text, said, "width", wanted.width or WIDTH, LARGEST))
        height = round(_number(text, said, "height", wanted.height or HEIGHT, LARGEST))
        fps = _number(text, said, "fps", wanted.fps or FPS, FASTEST)
        fault = read_fault(said.get("fault"))
        return FakeSource(text, Scenery(height, width), fps, fault)


def _number(text: str, said: Mapping[str, str], name: str, otherwise: float, most: float) -> float:
    """An option's value, from 1 to `most`."""
    try:
        value = float(said.get(name, otherwise))
    except ValueError:
        value = 0.0
    if not 1 <= value <= most:
        raise UsageError(f"{text}: {name} must be a number from 1 to {most:g}, not '{said.get(name, otherwise)}'")
    return value


SOURCE = Fake()
