"""`python -m edgecnn.edge infer`: the newest frame out of the slot, through the model, to one answer; again and again.

A process of its own: it keeps a core to itself while pages are served and frames decoded elsewhere, and what kills an
engine does not end the camera. The request is a line of JSON on stdin, and the end of stdin is the end of the process;
on stdout stand {"event": "ready"}, then an answer a line (`live.Result`), or {"event": "failed"}.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.edge import artifact, pixels
from edgecnn.edge.artifact import Array, Artifact
from edgecnn.edge.camera.heatmap import HeatMap, open_heatmap
from edgecnn.edge.camera.live import Result
from edgecnn.edge.camera.slot import Ends, Entry, Slot
from edgecnn.edge.camera.smoothing import Smoother
from edgecnn.edge.camera.telling import Event, Tell, end_with
from edgecnn.errors import EdgecnnError
from edgecnn.records import from_json

WAIT_S = 1.0
"""How long it waits for a frame at a time; without one it only waits anew."""
MS = 1e-6


@dataclass(frozen=True)
class InferenceRequest:
    """Which model answers for which slot.

    half_life_s: of the smoothing, 0 for none. heatmap: where in the picture the label is, too. after: the last frame
    that was answered.
    """

    artifact: str
    runtime: str | None
    threads: int
    ends: Ends
    half_life_s: float
    unsure_below: float | None
    heatmap: bool = False
    after: int = 0


class Answerer:
    """A model with its buffer, made once; one frame -> one answer."""

    def __init__(self, opened: Artifact, request: InferenceRequest) -> None:
        given, labels = opened.manifest.input, opened.manifest.labels
        self._artifact, self._labels = opened, labels
        self._resize = given.resize
        self._buffer = np.zeros((1, given.height, given.width, given.channels), np.uint8)
        self._smoother = Smoother(labels, request.half_life_s, unsure_below=request.unsure_below)
        self._map: HeatMap | None = None
        if request.heatmap:
            self._map = open_heatmap(opened.folder, request.runtime, request.threads)

    def warm_up(self) -> None:
        """The first inference takes longer than the others: let it not be a frame's."""
        self._artifact.answer(self._buffer)

    def fit(self, entry: Entry) -> None:
        """The frame's pixels at the model's size, into the model's buffer."""
        pixels.fit_into(self._buffer[0], entry.pixels, self._resize)

    def answer(self, entry: Entry, started_ns: int, fitted_ns: int) -> Result:
        """What the model says to what is in its buffer."""
        probabilities = self._artifact.answer(self._buffer)
        ran_ns = time.monotonic_ns()
        index, label, probability = self._told(entry, probabilities, ran_ns)
        top = self._artifact.likeliest(probabilities)
        told_ns = time.monotonic_ns()
        heatmap = None if self._map is None else self._map.of(self._buffer[0], index).tolist()
        ended_ns = time.monotonic_ns()
        stages = {
            "capture": entry.arrived_ns - entry.captured_ns,
            "decode": entry.decoded_ns - entry.arrived_ns,
            "wait": started_ns - entry.decoded_ns,
            "pixels": fitted_ns - started_ns,
            "model": ran_ns - fitted_ns,
            "answer": told_ns - ran_ns,
        }
        if heatmap is not None:
            stages["heatmap"] = ended_ns - told_ns
        in_ms = {name: round(max(0, spent) * MS, 4) for name, spent in stages.items()}
        age_ms = round((ended_ns - entry.captured_ns) * MS, 4)
        return Result(entry.number, label, probability, age_ms, in_ms, top, entry.name, heatmap)

    def _told(self, entry: Entry, probabilities: Array, now_ns: int) -> tuple[int, str, float]:
        """Which label to show: smoothed over a live view, each picture's own where pictures have names."""
        if entry.name is not None:
            best = int(probabilities.argmax())
            return best, self._labels[best], float(probabilities[best])
        told = self._smoother.update(probabilities, now_ns)
        return told.index, told.label, float(told.probability)


def work(request: InferenceRequest, slot: Slot, answerer: Answerer, tell: Tell) -> None:
    """Answer the newest frame, for ever."""
    number = request.after
    while True:
        entry = slot.newest(number, WAIT_S)
        if entry is None:
            continue
        number = entry.number
        started_ns = time.monotonic_ns()
        answerer.fit(entry)
        fitted_ns = time.monotonic_ns()
        if not slot.holds(number):
            continue  # it was written over while it was read: a newer one is there
        tell(answerer.answer(entry, started_ns, fitted_ns))
        slot.done(number)


def serve() -> None:
    """What the process does."""
    tell = Tell()
    request = from_json(InferenceRequest, json.loads(sys.stdin.readline()))
    end_with(sys.stdin)
    try:
        opened = artifact.load(Path(request.artifact), request.runtime, request.threads)
        answerer = Answerer(opened, request)
        answerer.warm_up()
        gc.freeze()  # what is there stays: only what a frame leaves has to be looked through
        tell(Event("ready"))
        work(request, Slot(request.ends), answerer, tell)
    except EdgecnnError as error:
        tell(Event("failed", str(error), error=type(error).__name__))
    os._exit(0)
