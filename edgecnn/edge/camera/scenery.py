"""A scene that moves without a camera: real pictures slide over a wall and grow and shrink, each for three seconds.

The pictures in scene/ are test pictures of CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny
Images, 2009), pixel for pixel as in edgecnn/packaged/cifar10_mini; they are enlarged smoothly here.
The same number is the same frame, on every machine with the same OpenCV.
"""

from __future__ import annotations

import math
from importlib import resources

import numpy as np

from edgecnn.edge import pixels
from edgecnn.edge.pixels import Image

LABELS = ("automobile", "cat", "horse", "ship")
"""In the order of their turns; also the names of the files."""
TURN = 90
"""Frames for which a picture is seen."""
SPOTS, TINT = (105, 150), (1.0, 0.96, 0.88)
"""The wall's darkest and lightest spots, and its colour: plaster."""
GRAIN = 40
"""Pixels from one spot of the wall to the next, about."""
FINE = 6
"""Steps that the wall's grain goes up and down, so that frames are as hard to compress as a camera's."""


class Scenery:
    """The scene at one size; `draw` gives its frames."""

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        folder = resources.files("edgecnn.edge.camera") / "scene"
        self._pictures = [pixels.decode((folder / f"{label}.png").read_bytes(), label) for label in LABELS]
        wall = _wall(height, width)
        self._wall = np.tile(wall, (2, 2, 1))  # twice, so that any shift of it is a view

    def draw(self, number: int) -> Image:
        """Frame `number`, from 0 on: uint8 [height, width, 3] RGB, the caller's to keep."""
        import cv2

        down, right = number % self._height, 2 * number % self._width
        frame: Image = self._wall[down : down + self._height, right : right + self._width].copy()
        turn, step = divmod(number, TURN)
        along = step / TURN  # 0 to 1 within the turn
        side = max(1, round(self._height * (0.7 + 0.25 * math.sin(math.pi * along))))
        picture = cv2.resize(self._pictures[turn % len(LABELS)], (side, side), interpolation=cv2.INTER_CUBIC)
        centre = self._width * (0.35 + 0.3 * along)
        _paste(frame, np.asarray(picture, np.uint8), (self._height - side) // 2, round(centre - side / 2))
        return frame


def _paste(frame: Image, picture: Image, top: int, left: int) -> None:
    """Lay a picture over a frame; what sticks out at the sides is cut off."""
    height, width = picture.shape[:2]
    first, end = max(0, left), min(frame.shape[1], left + width)
    if first < end:
        frame[top : top + height, first:end] = picture[:, first - left : end - left]


def _wall(height: int, width: int) -> Image:
    """Soft spots and fine grain, which go on at the other side where they end: uint8 [height, width, 3]."""
    import cv2

    random = np.random.default_rng(20)
    spots = random.integers(*SPOTS, (max(2, height // GRAIN), max(2, width // GRAIN), 1), np.uint8)
    spots = np.pad(spots, ((2, 2), (2, 2), (0, 0)), mode="wrap")
    rows, columns = spots.shape[0] - 4, spots.shape[1] - 4
    down, right = height / rows, width / columns  # pixels from spot to spot
    ys, xs = np.meshgrid((np.arange(height) + 0.5) / down + 1.5, (np.arange(width) + 0.5) / right + 1.5, indexing="ij")
    soft = cv2.remap(spots, xs.astype(np.float32), ys.astype(np.float32), cv2.INTER_LINEAR)
    grey = soft.reshape(height, width, 1) + random.integers(-FINE, FINE + 1, (height, width, 1))
    return np.asarray(grey * TINT, np.uint8)
