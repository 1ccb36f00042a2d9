"""What is drawn can be read on any picture, stays inside it, and leaves the picture itself alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgecnn.edge.artifact import Prediction
from edgecnn.edge.camera import overlay
from edgecnn.edge.camera.overlay import blend, draw
from edgecnn.edge.pixels import Image, Part, part_seen

TOP = tuple(Prediction(name, p) for name, p in [("cat", 0.9), ("a very long name " * 9, 0.08), ("猫\n", 0.02)])
SIZES = [(240, 320), (480, 640), (1080, 1920), (2160, 3840)]


def background(kind: str, height: int, width: int) -> Image:
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return np.full((height, width, 3), 255 if kind == "white" else 0, np.uint8)


def luminance(picture: Image) -> np.ndarray:
    """Relative luminance, for contrast. Source: WCAG 2.2, definition of relative luminance."""
    values = picture / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("kind", ["white", "black", "noise"])
def test_text_stands_out_from_any_background(kind: str, height: int, width: int) -> None:
    band = luminance(draw(background(kind, height, width), "cat", 0.93)[: height // 12])
    behind = np.percentile(band, 90)
    assert (band.max() + 0.05) / (behind + 0.05) >= 7, "WCAG's enhanced contrast"
    written = band > (band.max() + behind) / 2
    rows = np.flatnonzero(written.any(axis=1))
    assert 0.04 * height <= np.ptp(rows) + 1 <= 0.09 * height, "as large as the picture wants it"


@pytest.mark.parametrize(("height", "width"), [*SIZES, (32, 32), (640, 120), (1, 1), (7, 500)])
def test_any_size_is_drawn_on_and_the_picture_is_left_alone(height: int, width: int) -> None:
    picture = background("noise", height, width)
    before = picture.copy()
    drawn = draw(picture, "a very long label " * 9, 1.0, TOP, "a very long status " * 9)
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    assert np.array_equal(picture, before)


def test_the_middle_of_the_picture_is_not_touched() -> None:
    picture = background("noise", 480, 640)
    drawn = draw(picture, "cat", 0.9, TOP, "24.9 frames/s")
    assert np.array_equal(drawn[60:440, 340:], picture[60:440, 340:])
    assert not np.array_equal(drawn[440:], picture[440:])


def test_a_longer_bar_is_more_probable() -> None:
    drawn = draw(background("black", 480, 640), "cat", 0.9, [Prediction("x", p) for p in (1.0, 0.5, 0.0)])
    blue = (drawn == np.array(overlay.BLUE)).all(axis=2)
    lengths = [int(row.sum()) for row in blue if row.any()]
    longest, shortest = max(lengths), min(lengths)
    assert longest == pytest.approx(80, abs=2)
    assert {round(length / longest, 1) for length in lengths if length > 2} == {1.0, 0.5}
    assert shortest <= 1


def test_unsure_has_a_colour_of_its_own() -> None:
    colours = [draw(background("black", 240, 320), label, 0.5)[:25].max(axis=(0, 1)) for label in ("cat", "unsure")]
    assert colours[0].tolist() == list(overlay.WHITE)
    assert colours[1].tolist() == pytest.approx(overlay.AMBER, abs=8)


@pytest.mark.parametrize(("version", "expected"), [("5.0.0", "Käse 猫 a b"), ("4.13.0", "Kase ? a b")])
def test_labels_of_other_scripts(version: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 5.0 OpenCV's letters are Hershey's, which are ASCII."""
    monkeypatch.setattr(cv2, "__version__", version)
    assert overlay._drawable("Käse 猫\na\0b") == expected


# --- the class map ---------------------------------------------------------------------------------------------------


def test_nothing_of_the_class_changes_nothing() -> None:
    picture = background("noise", 48, 64)
    assert np.array_equal(blend(picture, np.zeros((3, 3), np.uint8), Part(0, 8, 48, 48)), picture)


def test_the_map_lies_over_the_models_part() -> None:
    picture = np.full((120, 200, 3), 128, np.uint8)
    heatmap = np.zeros((3, 3), np.uint8)
    heatmap[0, 2] = 255  # upper right
    blended = blend(picture, heatmap, part_seen(120, 200, 96, 96, "crop"))
    changed = np.abs(blended.astype(int) - picture).sum(axis=2)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    assert row < 40
    assert 120 <= column < 160
    assert not changed[:, :40].any()
    assert not changed[:, 160:].any()
    assert changed[60:, :90].max() < changed.max() / 20
    assert np.array_equal(picture, np.full((120, 200, 3), 128, np.uint8))


def test_a_border_of_the_map_is_cut_off() -> None:
    """With letterbox the map's upper and lower thirds lie above and below this picture."""
    picture = np.full((60, 180, 3), 128, np.uint8)
    part = part_seen(60, 180, 96, 96, "letterbox")
    assert part == Part(-60, 0, 180, 180)
    heatmap = np.array([[255], [0], [255]], np.uint8)
    blended = blend(picture, cv2.resize(heatmap, (180, 180), interpolation=cv2.INTER_NEAREST), part)
    assert np.array_equal(blended, picture)
    assert blend(picture, 255 - heatmap, part)[30, 90].tolist() != [128] * 3


def test_a_part_that_lies_outside_changes_nothing() -> None:
    picture = background("noise", 20, 20)
    assert np.array_equal(blend(picture, np.full((3, 3), 255, np.uint8), Part(20, 0, 20, 20)), picture)


def test_the_more_heat_the_more_colour() -> None:
    picture = np.full((10, 10, 3), 128, np.uint8)
    changed = [
        np.abs(blend(picture, np.full((1, 1), heat, np.uint8), Part(0, 0, 10, 10)).astype(int) - 128).sum()
        for heat in (0, 60, 120, 255)
    ]
    assert changed == sorted(changed)
    assert changed[0] == 0 < changed[1]
