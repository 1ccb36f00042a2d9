"""What a view shows: the newest picture with its answer, and how the camera is doing; one place, always the newest."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecnn.edge.artifact import Prediction
from edgecnn.edge.pixels import Image, Part


@dataclass(frozen=True)
class Result:
    """One frame's answer. `label` is the smoothed one, or `unsure`; `top` are this frame's own likeliest labels.

    frame: its number among the source's. age_ms: from its capture to this answer. stages_ms: what it spent where:
    decode, wait (in the slot), pixels (to the model's size), model, and so on.
    """

    frame: int
    label: str
    probability: float
    age_ms: float
    stages_ms: Mapping[str, float]
    top: tuple[Prediction, ...] = ()
    image: str | None = None
    heatmap: tuple[tuple[int, ...], ...] | None = None
    """Rows of the label's class map, 0 to 255, where it was asked for."""
    schema: str = "edgecnn.camera-result/1"


@dataclass(frozen=True)
class Health:
    """How the camera is doing, over the last seconds.

    state: opening, running, stalled (nothing comes; `message` says since when and what is tried), ended (a file is at
    its end). Rates are per second; shares in 0..1; a figure that could not be had is None.
    """

    state: str = "opening"
    message: str = ""
    source: str = ""
    frames_per_s: float | None = None
    """Unique frames that came."""
    results_per_s: float | None = None
    dropped: float | None = None
    """Share of the unique frames that was never classified."""
    age_p50_ms: float | None = None
    age_p90_ms: float | None = None
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    """Median of each stage."""
    temperature_c: float | None = None
    throttled: bool | None = None
    restarts: int = 0
    """How often capture or inference was started anew."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Why a figure could not be had, by its name here."""


@dataclass(frozen=True)
class ModelCard:
    """Which model answers."""

    name: str
    sha256: str
    runtime: str
    threads: int
    precision: str
    input: str
    """Height x width and the rule of edge/pixels.py: `96x96 crop`."""
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A picture and its answer. picture: uint8 [H, W, 3] RGB, the very frame that the answer is about; not written to.

    heatmap: uint8 [h, w], the class map of the label from 0 to 255, to lay over `part`, which the model saw.
    """

    picture: Image
    result: Result
    heatmap: Image | None = None
    part: Part | None = None


class Live:
    """One place that holds the newest; written by the camera, read by any number of views, in threads of their own."""

    def __init__(self, model: ModelCard) -> None:
        self.model = model
        self._changed = threading.Condition()
        self._shown: Shown | None = None
        self._health = Health()
        self._count, self._closed, self._watchers = 0, False, 0
        self.paused = False
        """Set by a view: no further pictures are put in while it is."""

    def put(self, shown: Shown) -> None:
        """A newer picture; whoever waits is woken."""
        with self._changed:
            self._shown = shown
            self._count += 1
            self._changed.notify_all()

    def tell(self, health: Health) -> None:
        """How the camera is doing now."""
        with self._changed:
            self._health = health

    @property
    def health(self) -> Health:
        """As it was told last."""
        with self._changed:
            return self._health

    @property
    def closed(self) -> bool:
        """Whether the camera has stopped, or a view asked it to."""
        with self._changed:
            return self._closed

    def close(self) -> None:
        """Stop, for everyone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def newest(self, after: int = 0, timeout_s: float = 1.0) -> tuple[int, Shown | None]:
        """The newest picture with its number, waiting for one beyond `after`; (after, None) where none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > after or self._closed, timeout_s)
            if self._count <= after:
                return after, None
            return self._count, self._shown

    def watch(self, by: int) -> None:
        """`by` more views look (fewer, when negative); without any, pictures need not be copied."""
        with self._changed:
            self._watchers += by

    @property
    def watched(self) -> bool:
        """Whether any view looks at pictures."""
        with self._changed:
            return self._watchers > 0
