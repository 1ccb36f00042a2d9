"""What is drawn over a picture: the label and the likeliest ones for a window, and the class map for every view."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np

from edgecnn.edge.artifact import Prediction
from edgecnn.edge.camera.smoothing import UNSURE
from edgecnn.edge.pixels import Image, Part

Colour = tuple[int, int, int]
WHITE, AMBER, BLUE, GREY = (255, 255, 255), (255, 196, 77), (64, 156, 255), (90, 90, 90)
SHADE = 0.3
"""What remains of the picture's light behind text: white on it has a contrast of 7:1 and more even on white."""
HEAT_ALPHA = 0.5
BRIGHTEST = 0.88
"""Of the colour map, which ends in a red so dark that one takes it for a shadow."""
_CAP_HEIGHT = 22.0
"""Pixels of a capital letter at scale 1."""


# --- text and bars ---------------------------------------------------------------------------------------------------


def draw(
    picture: Image, label: str, probability: float | None, top: Sequence[Prediction] = (), status: str = ""
) -> Image:
    """A copy of a uint8 [H, W, 3] RGB picture with the label above, and the likeliest labels as bars below.

    probability: in 0..1; None where there is no answer yet. status: a line at the very bottom. Sizes follow the
    picture's, so that it reads alike from 320x240 to 4K.
    """
    canvas = np.array(picture, np.uint8)
    height, width = canvas.shape[:2]
    unit = max(5.0, min(height, width * 0.75) / 48)  # a twelfth of the label's band, and less than a small letter
    if probability is not None:
        _title(canvas, label, probability, unit)
    below = height
    if status:
        below -= round(3 * unit)
        _shade(canvas, below, 0, height, width)
        _write(canvas, status, (unit, below + 2.1 * unit), 1.3 * unit, WHITE, width - 2 * unit)
    if top:
        _bars(canvas, top, below, unit)
    return canvas


def _title(canvas: Image, label: str, probability: float, unit: float) -> None:
    width = canvas.shape[1]
    _shade(canvas, 0, 0, round(5 * unit), width)
    percent = f"{100 * probability:.0f} %"
    room = width - 3 * unit - _width(percent, 2.4 * unit)
    colour = AMBER if label == UNSURE else WHITE
    _write(canvas, label, (unit, 3.7 * unit), 2.4 * unit, colour, room)
    _write(canvas, percent, (width - unit - _width(percent, 2.4 * unit), 3.7 * unit), 2.4 * unit, colour, width)


def _bars(canvas: Image, top: Sequence[Prediction], below: int, unit: float) -> None:
    """A row for each: bar, percentage, name; in the lower left corner, above the row `below`."""
    import cv2

    row, wide = 2.6 * unit, min(canvas.shape[1], round(32 * unit))
    above = round(below - len(top) * row - unit)
    _shade(canvas, above, 0, below, wide)
    for number, prediction in enumerate(top):
        upper = above + unit / 2 + number * row
        left, right, base = unit, 9 * unit, upper + 1.9 * unit
        end = left + (right - left) * min(1.0, max(0.0, prediction.probability))
        upper_left, middle = (round(left), round(upper + 0.5 * unit)), round(base)
        cv2.rectangle(canvas, upper_left, (round(right), middle), GREY, cv2.FILLED)
        cv2.rectangle(canvas, upper_left, (max(round(left), round(end)), middle), BLUE, cv2.FILLED)
        percent = f"{100 * prediction.probability:.0f} %"
        _write(canvas, percent, (15.6 * unit - _width(percent, 1.3 * unit), base), 1.3 * unit, WHITE, wide)
        _write(canvas, prediction.label, (16.6 * unit, base), 1.3 * unit, WHITE, wide - 17.6 * unit)


def _shade(canvas: Image, top: int, left: int, bottom: int, right: int) -> None:
    """Darken a part of the canvas, so that text on it can be read whatever is there."""
    import cv2

    part = canvas[max(0, top) : bottom, left:right]
    if part.size:
        part[...] = cv2.convertScaleAbs(part, alpha=SHADE)


def _write(canvas: Image, text: str, base: tuple[float, float], size: float, colour: Colour, room: float) -> None:
    """Text whose capital letters are `size` pixels high, from (x, y) of its base line, cut off where room ends."""
    import cv2

    shown = _shortened(_drawable(text), size, room)
    place = (round(base[0]), round(base[1]))
    cv2.putText(canvas, shown, place, cv2.FONT_HERSHEY_SIMPLEX, size / _CAP_HEIGHT, colour, _thick(size), cv2.LINE_AA)


def _shortened(text: str, size: float, room: float) -> str:
    if _width(text, size) <= room:
        return text
    kept = text
    while kept and _width(kept + "...", size) > room:
        kept = kept[:-1]
    return kept + "..."


def _width(text: str, size: float) -> float:
    import cv2

    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size / _CAP_HEIGHT, _thick(size))
    return float(width)


def _thick(size: float) -> int:
    return max(1, round(size / 12))


def _drawable(text: str) -> str:
    """In one line; without accents, and `?` for other scripts, where OpenCV has letters of ASCII only (before 5.0)."""
    import cv2

    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if int(cv2.__version__.split(".")[0]) >= 5:
        return line
    plain = unicodedata.normalize("NFKD", line)
    return "".join(char for char in plain if not unicodedata.combining(char)).encode("ascii", "replace").decode()


# --- the class map ---------------------------------------------------------------------------------------------------


def blend(picture: Image, heatmap: Image, part: Part) -> Image:
    """A copy of a picture with a class map laid over its part that the model saw.

    picture: uint8 [H, W, 3] RGB. heatmap: uint8 [h, w], from 0 (nothing of the class) to 255. part: see
    pixels.part_seen; what reaches beyond the picture is cut off. Where the map is 0 the picture stays as it is.
    """
    import cv2

    top, left = max(0, part.top), max(0, part.left)
    bottom = min(picture.shape[0], part.top + part.height)
    right = min(picture.shape[1], part.left + part.width)
    blended = np.array(picture, np.uint8)
    if bottom <= top or right <= left:
        return blended
    heat = cv2.resize(heatmap, (part.width, part.height), interpolation=cv2.INTER_CUBIC)
    heat = np.ascontiguousarray(heat[top - part.top : bottom - part.top, left - part.left : right - part.left])
    colours, remains = _shares()
    seen = np.ascontiguousarray(blended[top:bottom, left:right])
    darkened = cv2.multiply(seen, cv2.applyColorMap(heat, remains), scale=1 / 255)
    blended[top:bottom, left:right] = cv2.add(darkened, cv2.applyColorMap(heat, colours))
    return blended


@cache
def _shares() -> tuple[Image, Image]:
    """For each of 256 levels of heat, [256, 1, 3]: its share of a colour, and what remains of the picture, of 255."""
    import cv2

    levels = np.arange(256, dtype=np.float64)[:, None]
    alpha = (levels * (HEAT_ALPHA / 255))[:, :, None]
    turbo = cv2.applyColorMap(np.rint(levels * BRIGHTEST).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    colours = np.rint(turbo * alpha).astype(np.uint8)
    return colours, np.rint(255.0 * (1 - alpha)).astype(np.uint8).repeat(3, axis=2)
