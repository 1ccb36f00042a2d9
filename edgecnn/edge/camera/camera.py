"""The camera: capture and inference kept going, and what they give handed on, in one loop that never waits for either.

It runs where the views run. It moves lines and, while somebody looks, one copy of a picture a frame.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.edge import pixels
from edgecnn.edge.artifact import read_manifest
from edgecnn.edge.camera.capture import CaptureRequest
from edgecnn.edge.camera.figures import Figures, Summary
from edgecnn.edge.camera.inference import InferenceRequest
from edgecnn.edge.camera.keepers import CaptureKeeper, InferenceKeeper
from edgecnn.edge.camera.live import Live, Result, Shown
from edgecnn.edge.camera.slot import Slot, make_ends
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.pixels import Image
from edgecnn.errors import UnusableFile

TICK_S, HEALTH_S = 0.2, 0.5
"""How often processes are looked after, and how often views are told how the camera is doing."""


@dataclass(frozen=True)
class Settings:
    """What the camera does.

    frames: end after so many answers; half_life_s, unsure_below: see smoothing.Smoother;
    kinds: further kinds of sources, see sources.find_kind.
    """

    artifact: Path
    source: str
    wanted: Wanted
    runtime: str | None = None
    threads: int = 1
    frames: int | None = None
    half_life_s: float = 0.5
    unsure_below: float | None = None
    heatmap: bool = False
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hands:
    """Who is handed what; in the camera's loop, so they must be quick.

    result: each answer. say: a sentence for the person watching. picture: each answer with its frame, uint8 [H, W, 3]
    RGB, which is copied for it. ready: once, when the model is loaded. alive: at each round of the loop, several a
    second, whether frames come or not.
    """

    result: Callable[[Result], None]
    say: Callable[[str], None]
    picture: Callable[[Result, Image], None] | None = None
    ready: Callable[[], None] = lambda: None
    alive: Callable[[], None] = lambda: None


class Camera:
    """A source and a model at work; a `with` block that leaves no process behind."""

    def __init__(self, settings: Settings, live: Live, hands: Hands) -> None:
        self._settings, self._live, self._hands = settings, live, hands
        self._ends = make_ends()
        self._slot = Slot(self._ends)
        self._figures = Figures(self._slot)
        capture = CaptureRequest(settings.source, settings.wanted, self._ends, settings.kinds)
        inference = InferenceRequest(
            str(settings.artifact),
            settings.runtime,
            settings.threads,
            self._ends,
            settings.half_life_s,
            settings.unsure_below,
            settings.heatmap,
        )
        self._capture = CaptureKeeper(capture, self._slot, hands.say)
        self._inference = InferenceKeeper(inference, self._slot, hands.say, self._answered)
        self._input = read_manifest(settings.artifact).input
        self._summary: Summary | None = None
        self._answers, self._told_s = 0, 0.0

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *unused: object) -> None:
        self._capture.end()
        self._inference.end()
        self._live.close()
        self._summary = self._figures.summary(self._restarts)
        self._slot.close()
        for descriptor in self._ends.all():
            os.close(descriptor)

    def run(self) -> None:
        """Until `Live` is closed, the source is at its end or the last frame asked for is answered.

        Raises DeviceError or UnusableFile for a source that can't be opened at first and a model that can't be used.
        """
        self._inference.start(time.monotonic())
        self._wait_ready()
        self._hands.ready()
        self._capture.start(time.monotonic())
        while not self._live.closed and not self._finished():
            self._step()
        self._tell(time.monotonic())
        self._check_answered()

    def _check_answered(self) -> None:
        """UnusableFile where a source that is no camera was at its end, and not one of its frames could be used."""
        capture = self._capture
        if capture.state == "ended" and self._slot.number == 0 and capture.passed_over:
            raise UnusableFile(f"{capture.description}: no frame could be used, the last: {capture.passed_over}")

    def _wait_ready(self) -> None:
        """A source is opened when somebody can answer: files would lose their first frames."""
        while not self._inference.ready and not self._live.closed:
            self._step()

    def _step(self) -> None:
        keepers = (self._inference, self._capture)
        waiting = {descriptor: keeper for keeper in keepers for descriptor in keeper.descriptors()}
        ready = select.select(list(waiting), [], [], TICK_S)[0]
        now = time.monotonic()
        for keeper in keepers:
            if any(waiting[descriptor] is keeper for descriptor in ready):
                keeper.read(now)
        self._hands.alive()
        self._capture.tick(now)
        self._inference.tick(now)
        if now - self._told_s >= HEALTH_S:
            self._tell(now)

    def _finished(self) -> bool:
        if self._settings.frames is not None and self._answers >= self._settings.frames:
            return True
        return self._capture.state == "ended" and self._inference.number >= self._slot.number

    def _answered(self, result: Result) -> None:
        if self._settings.frames is not None and self._answers >= self._settings.frames:
            return
        self._answers += 1
        self._figures.add(result)
        if self._answers == self._settings.frames:
            self._figures.end_with(result)
        self._hands.result(result)
        looked_at = self._live.watched and not self._live.paused
        picture = self._slot.copy(result.frame) if looked_at or self._hands.picture else None
        if picture is None:
            return
        picture.setflags(write=False)
        if looked_at:
            self._live.put(self._shown(picture, result))
        if self._hands.picture is not None:
            self._hands.picture(result, picture)

    def _shown(self, picture: Image, result: Result) -> Shown:
        if result.heatmap is None:
            return Shown(picture, result)
        given, (height, width) = self._input, picture.shape[:2]
        part = pixels.part_seen(height, width, given.height, given.width, given.resize)
        return Shown(picture, result, np.array(result.heatmap, np.uint8), part)

    @property
    def summary(self) -> Summary:
        """The session so far; after the block, all of it."""
        return self._summary or self._figures.summary(self._restarts)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes at work now."""
        keepers = (self._capture, self._inference)
        return tuple(keeper.process.pid for keeper in keepers if keeper.process is not None)

    @property
    def _restarts(self) -> int:
        return self._capture.revival.restarts + self._inference.revival.restarts

    def _tell(self, now_s: float) -> None:
        self._told_s = now_s
        capture = self._capture
        self._live.tell(self._figures.health(capture.state, capture.message, capture.description, self._restarts))
