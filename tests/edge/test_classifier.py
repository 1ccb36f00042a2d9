"""How pictures go into a model of unknown origin: axes, types, scales, and what must be said by the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.classifier import Normalisation, PictureInput, Ports, answer, picture_input
from edgecnn.edge.runtimes import Port
from edgecnn.errors import UnusableFile, UsageError

FILE = Path("model.onnx")
HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
LOGITS = Port("logits", (1, 10), "float32")


def ports(shape: tuple[int, ...], dtype: str = "uint8", scale: float | None = None, zero: int | None = None) -> Ports:
    return Ports((Port("x", shape, dtype, scale, zero),), (LOGITS,))


@pytest.mark.parametrize(
    ("shape", "layout", "size", "expected"),
    [
        ((1, 32, 24, 3), None, None, (1, 32, 24, "NHWC")),
        ((1, 3, 32, 24), None, None, (1, 32, 24, "NCHW")),
        ((0, 3, 0, 0), None, (20, 30), (1, 20, 30, "NCHW")),
        ((4, 0, 0, 3), None, (20, 20), (4, 20, 20, "NHWC")),
        ((1, 3, 5, 3), "NCHW", None, (1, 5, 3, "NCHW")),
        ((1, 3, 5, 3), "NHWC", None, (1, 3, 5, "NHWC")),
        ((0, 0, 0, 0), "NHWC", (8, 8), (1, 8, 8, "NHWC")),
    ],
)
def test_axes(
    shape: tuple[int, ...],
    layout: str | None,
    size: tuple[int, int] | None,
    expected: tuple[int, int, int, str],
) -> None:
    found = picture_input(FILE, ports(shape), None, layout, size)
    assert (found.batch, found.height, found.width, found.layout) == expected


@pytest.mark.parametrize(
    ("given", "normalisation", "error", "words"),
    [
        (ports((1, 3, 8, 3)), None, UsageError, "--layout"),
        (ports((0, 0, 0, 0)), None, UsageError, "--layout"),
        (ports((1, 3, 0, 0)), None, UsageError, "--input-size"),
        (ports((1, 3, 8, 8), "float32"), None, UsageError, "--mean and --std"),
        (ports((1, 8, 8, 3)), HALF, UsageError, "leave out --mean and --std"),
        (ports((1, 8, 8, 2)), None, UnusableFile, "pictures are"),
        (ports((1, 8, 8, 1), "float32"), HALF, UsageError, "1 channel; mean and std are one number for each, not 3"),
        (ports((1, 8, 8)), None, UnusableFile, "pictures are"),
        (ports((1, 8, 8, 3), "int64"), None, UnusableFile, "int64"),
        (Ports((), (LOGITS,)), None, UnusableFile, "0 inputs"),
    ],
)
def test_what_is_refused(given: Ports, normalisation: Normalisation | None, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        picture_input(FILE, given, normalisation)


PIXELS = np.array([[[[0, 64, 128], [192, 254, 255]]]], np.uint8)


@pytest.mark.parametrize(
    ("dtype", "normalisation", "scale", "zero", "expected"),
    [
        ("uint8", None, None, None, [0, 64, 128, 192, 254, 255]),
        ("int8", None, None, None, [-128, -64, 0, 64, 126, 127]),
        ("float32", HALF, None, None, [-1, 64 / 127.5 - 1, 128 / 127.5 - 1, 192 / 127.5 - 1, 254 / 127.5 - 1, 1]),
        ("float16", Normalisation((0, 0, 0), (1 / 255,) * 3), None, None, [0, 64, 128, 192, 254, 255]),
        # (pixel / 255) / (1 / 255) in steps of 2 around 10: pixel / 2 + 10
        ("uint8", Normalisation((0, 0, 0), (1 / 255,) * 3), 2.0, 10, [10, 42, 74, 106, 137, 138]),
        ("int8", HALF, 1 / 64, 0, [-64, -32, 0, 32, 63, 64]),
        ("int8", HALF, 1 / 512, 0, [-128, -128, 2, 127, 127, 127]),
    ],
)
def test_values(
    dtype: str, normalisation: Normalisation | None, scale: float | None, zero: int | None, expected: list[float]
) -> None:
    encoded = PictureInput(1, 1, 2, "NHWC", dtype, normalisation, scale, zero).encode(PIXELS)
    assert encoded.dtype == dtype
    np.testing.assert_allclose(encoded.ravel(), expected, rtol=1e-3, atol=0.51 if scale == 2.0 else 1e-3)


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ((1, 28, 28, 1), "NHWC", 1),
        ((1, 1, 28, 28), "NCHW", 1),
        ((1, 3, 28, 1), "NCHW", 3),  # three channels of one column, rather than grey of three rows
        ((1, 1, 28, 3), "NHWC", 3),
    ],
)
def test_grey_or_colour(shape: tuple[int, ...], layout: str, channels: int) -> None:
    found = picture_input(FILE, ports(shape), None)
    assert (found.layout, found.channels) == (layout, channels)


def test_a_grey_picture_is_normalised_by_its_one_mean() -> None:
    given = picture_input(FILE, ports((1, 1, 1, 2), "float32"), Normalisation((0.5,), (0.25,)), "NCHW")
    encoded = given.encode(np.array([[[[0], [255]]]], np.uint8))
    assert encoded.shape == (1, 1, 1, 2)
    assert encoded.ravel().tolist() == [-2.0, 2.0]


def test_planes() -> None:
    encoded = PictureInput(1, 1, 2, "NCHW", "uint8", None).encode(PIXELS)
    assert encoded.shape == (1, 3, 1, 2)
    assert encoded[0, :, 0, 1].tolist() == [192, 254, 255]


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_a_row_a_picture_whatever_the_batch(batch: int, tmp_path: Path) -> None:
    model = tmp_path / "model.null"
    model.write_text('{"classes": 4}')
    images = np.arange(7, dtype=np.uint8)[:, None, None, None] * 36 + np.zeros((7, 2, 2, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    given = PictureInput(batch, 2, 2, "NHWC", "uint8", None)
    request = {
        "path": str(model),
        "runtime": "null",
        "threads": 1,
        "input": given.json(),
        "images": str(tmp_path / "images.npy"),
        "answers": str(tmp_path / "answers.npy"),
    }
    assert answer(request) == 4
    rows = np.load(tmp_path / "answers.npy")
    assert rows.argmax(axis=1).tolist() == [min(3, number * 36 // 64) for number in range(7)]


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.5,) * 2, (0.5,) * 2), ((0.5,), (0.5,) * 3), ((0, 0, 0), (1, 0, 1)), ((0, 0, np.nan), (1, 1, 1))],
)
def test_normalisations_that_make_no_sense(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        Normalisation(mean, std)
