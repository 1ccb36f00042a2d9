"""The class map over the picture: on the part that the model saw, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgecnn.edge import pixels
from edgecnn.edge.camera.views.heatmap import OPACITY, lay_over

GREY = np.full((60, 100, 3), 90, np.uint8)
HOT = np.full((4, 4), 255, np.uint8)


def changed(laid: np.ndarray) -> tuple[int, int, int, int]:
    """The rows and columns that differ from GREY: first and one past the last."""
    rows, columns = np.nonzero((laid != GREY).any(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize(
    ("model_input", "expected"),
    [
        ("32x32 crop", (0, 60, 20, 80)),
        ("32x64 crop", (5, 55, 0, 100)),
        ("32x32 stretch", (0, 60, 0, 100)),
        ("32x32 letterbox", (0, 60, 0, 100)),
        ("whatever", (0, 60, 0, 100)),
    ],
)
def test_where_it_lies(model_input: str, expected: tuple[int, int, int, int]) -> None:
    laid = lay_over(GREY, HOT, model_input)
    assert changed(laid) == expected
    assert (GREY == 90).all(), "the picture itself is not written to"


def test_its_colour_is_opencvs_and_its_strength_the_heat() -> None:
    hottest = cv2.applyColorMap(np.full((1, 1), 255, np.uint8), cv2.COLORMAP_INFERNO)[0, 0, ::-1]
    laid = lay_over(GREY, HOT, "8x8 stretch")
    assert np.abs(laid[30, 50] - (hottest * OPACITY + 90 * (1 - OPACITY))).max() <= 1
    assert np.array_equal(lay_over(GREY, 0 * HOT, "8x8 stretch"), GREY)


def test_a_crop_is_the_one_that_the_model_gets() -> None:
    """A map with one hot column lies over the picture where `pixels.fit` takes that column from."""
    columns = np.zeros((60, 100, 3), np.uint8) + np.arange(100, dtype=np.uint8)[None, :, None]
    seen = pixels.fit(columns, 60, 60, "crop")
    heat = np.zeros((60, 60), np.uint8)
    heat[:, 17] = 255
    hot = (lay_over(columns, heat, "60x60 crop") != columns).any(axis=(0, 2))
    assert np.flatnonzero(hot).tolist() == [seen[0, 17, 0]]


def test_a_letterboxs_border_lies_outside() -> None:
    heat = np.zeros((10, 10), np.uint8)
    heat[:2] = heat[8:] = 255  # of 100 x 60 in a square, the border is the upper and the lower fifth
    assert (lay_over(GREY, heat, "10x10 letterbox")[10:50] == GREY[10:50]).all()
