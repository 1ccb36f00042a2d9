"""A camera that is none: a thread that puts moving pictures with answers into `Live`, as the camera's loop does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from edgecnn.data import DataSpec, open_dataset
from edgecnn.edge.artifact import Prediction
from edgecnn.edge.camera.live import Health, Live, ModelCard, Result, Shown
from edgecnn.edge.pixels import Image

REPO = Path(__file__).parents[4]
LABELS = ("bicycle", "car", "dog", "person", "street", "tree", "window")


def card(**changed: object) -> ModelCard:
    """A model's card."""
    given = {
        "name": "cifar10-mobile",
        "sha256": "3f1c" * 16,
        "runtime": "litert",
        "threads": 1,
        "precision": "int8",
        "input": "32x32 crop",
        "labels": LABELS,
    }
    return ModelCard(**{**given, **changed})  # type: ignore[arg-type]


def picture(step: int = 0, height: int = 240, width: int = 320) -> Image:
    """A bright square on a dark ground, which moves with every step."""
    made = np.full((height, width, 3), 40, np.uint8)
    left = (7 * step) % (width - 60)
    made[60:120, left : left + 60] = (240, 200, 30)
    return made


def result(step: int = 0, labels: Sequence[str] = LABELS) -> Result:
    """Probabilities that go up and down, each label at a pace of its own."""
    scores = np.exp(2.5 * np.sin(step / 15 * np.arange(1, len(labels) + 1) / 2))
    shares = scores / scores.sum()
    best = np.argsort(-shares)[:5]
    top = tuple(Prediction(labels[i], float(shares[i])) for i in best)
    age = 14 + 4 * np.sin(step / 40) + (step * 7919 % 5)
    stages = {"decode": 3.1, "wait": 1.2, "pixels": 0.4, "model": 6.0 + (step * 31 % 10) / 10}
    return Result(step, top[0].label, top[0].probability, float(age), stages, top)


HEALTH = Health(
    state="running",
    source="/dev/video0: 640x480 MJPG at 30 frames/s",
    frames_per_s=29.8,
    results_per_s=29.8,
    dropped=0.0,
    age_p50_ms=14.2,
    age_p90_ms=18.9,
    stages_ms={"decode": 3.1, "wait": 1.2, "pixels": 0.4, "model": 6.3, "heatmap": 1.1},
    temperature_c=51.2,
    throttled=False,
)


def bikes() -> Path | None:
    """The film of the shared data, where it lies: EDGECNN_DATA, or beside the checkout."""
    folders = [Path(os.environ["EDGECNN_DATA"])] if os.environ.get("EDGECNN_DATA") else []
    folders += [parent / "shared" / "data" for parent in REPO.parents]
    found = (folder / "media" / "bikes.mp4" for folder in folders)
    return next((path for path in found if path.is_file()), None)


def film() -> Iterator[Image]:
    """bikes.mp4 over and over; without it, bundled pictures that wander over a coloured ground."""
    path = bikes()
    while path is not None:
        opened = cv2.VideoCapture(str(path))
        while True:
            there, frame = opened.read()
            if not there:
                break
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        opened.release()
    yield from wandering()


def wandering() -> Iterator[Image]:
    """Two bundled pictures on their ways."""
    images = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("test").images
    for step in count():
        made = np.full((360, 480, 3), (60, 70, 66), np.uint8)
        for number, speed in ((0, 5), (1, 3)):
            left = (speed * step) % 320
            top = 40 + 120 * number
            made[top : top + 160, left : left + 160] = images[number + step // 60].repeat(5, 0).repeat(5, 1)
        yield made


class Camera:
    """Puts pictures at a pace until the block ends."""

    def __init__(
        self,
        live: Live,
        pictures: Iterator[Image] | None = None,
        fps: float = 20,
        labels: Sequence[str] = LABELS,
        health: Health = HEALTH,
    ) -> None:
        self._live, self._pictures, self._fps, self._labels = live, pictures, fps, labels
        self.health = health
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        for step in count():
            began = time.monotonic()
            image = picture(step) if self._pictures is None else next(self._pictures)
            self._live.put(Shown(image, result(step, self._labels)))
            self._live.tell(self.health)
            if self._stop.wait(max(0.0, began + 1 / self._fps - time.monotonic())):
                return

    def stop(self) -> None:
        """No further picture."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
