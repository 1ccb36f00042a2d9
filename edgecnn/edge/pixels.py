"""The only way from a picture to pixels: evaluation, calibration, predict and the camera all call this file.

Two resizers that differ a little are the usual cause of "99 % here, nonsense on my device". So decoding, orientation,
colour, cropping and resizing are written once, here, and training adds its augmentation after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import UsageError, nearest

Image = NDArray[np.uint8]  # [H, W, 3] RGB

RESIZE_RULES = ("crop", "letterbox", "stretch")
PAD = 128  # letterbox's border: the zero of (x - 128) / 128


# --- to the model's size ---------------------------------------------------------------------------------------------


def check_rule(resize: str) -> None:
    """UsageError, naming the nearest rule, when there is no such resize rule."""
    if resize not in RESIZE_RULES:
        raise UsageError(f"there is no resize rule '{resize}'{nearest(resize, RESIZE_RULES)}")


def fit(image: Image, height: int, width: int, resize: str) -> Image:
    """Bring a uint8 [H, W, 3] picture to [height, width, 3], contiguous; the very same pixels where the size matches.

    crop:      the largest centred part of the target's aspect, resized.
    letterbox: the whole picture scaled to fit inside, centred, with a border of 128.
    stretch:   the whole picture resized, its aspect lost.

    A side that shrinks is averaged (cv2.INTER_AREA), a side that grows is interpolated (cv2.INTER_LINEAR); where one
    shrinks and the other grows, shrinking comes first. Raises UsageError for another rule.
    """
    check_rule(resize)
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    if resize == "crop":
        return _resize(_centre_crop(image, height, width), height, width)
    if resize == "letterbox":
        return _letterbox(image, height, width)
    return _resize(image, height, width)


def _centre_crop(image: Image, height: int, width: int) -> Image:
    """The largest centred part of `image` with the aspect height : width, to the nearest pixel."""
    have_height, have_width = image.shape[:2]
    crop_height, crop_width = have_height, have_width
    if have_width * height > have_height * width:
        crop_width = _scaled(have_height, width, height)
    else:
        crop_height = _scaled(have_width, height, width)
    top, left = (have_height - crop_height) // 2, (have_width - crop_width) // 2
    return image[top : top + crop_height, left : left + crop_width]


def _letterbox(image: Image, height: int, width: int) -> Image:
    have_height, have_width = image.shape[:2]
    inner_height, inner_width = height, width
    if have_width * height > have_height * width:
        inner_height = _scaled(have_height, width, have_width)
    else:
        inner_width = _scaled(have_width, height, have_height)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    boxed = np.full((height, width, 3), PAD, np.uint8)
    boxed[top : top + inner_height, left : left + inner_width] = _resize(image, inner_height, inner_width)
    return boxed


def _scaled(length: int, to: int, of: int) -> int:
    """length * to / of to the nearest integer (halves up), at least 1; whole numbers, so the same everywhere."""
    return max(1, (2 * length * to + of) // (2 * of))


def _resize(image: Image, height: int, width: int) -> Image:
    import cv2

    shrunk_height, shrunk_width = min(height, image.shape[0]), min(width, image.shape[1])
    resized = np.ascontiguousarray(image)
    if (shrunk_height, shrunk_width) != image.shape[:2]:
        resized = np.asarray(cv2.resize(resized, (shrunk_width, shrunk_height), interpolation=cv2.INTER_AREA), np.uint8)
    if (height, width) != resized.shape[:2]:
        resized = np.asarray(cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return resized
