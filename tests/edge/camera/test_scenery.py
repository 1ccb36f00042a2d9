"""scenery.py: the same number is the same frame, all move, and a classifier sees what is shown."""

from __future__ import annotations

from importlib import resources
from itertools import pairwise

import numpy as np
import pytest

import edgecnn
from edgecnn import packaged
from edgecnn.data import DataSpec, open_dataset
from edgecnn.edge import pixels
from edgecnn.edge.camera.scenery import LABELS, TURN, Scenery


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (1280, 720), (33, 77), (1, 1)])
def test_every_size_and_number_is_drawn(size: tuple[int, int]) -> None:
    scenery = Scenery(*size)
    for number in (0, 1, TURN - 1, TURN, 1_000_003):
        frame = scenery.draw(number)
        assert frame.shape == (*size, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous


def test_frames_are_the_same_again_and_their_own() -> None:
    scenery = Scenery(120, 160)
    first = scenery.draw(100)
    assert np.array_equal(first, Scenery(120, 160).draw(100))
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(scenery.draw(100), kept)


def test_no_two_frames_in_a_row_are_alike() -> None:
    scenery = Scenery(48, 64)
    frames = [scenery.draw(number) for number in range(2 * TURN)]
    assert not any(np.array_equal(one, next) for one, next in pairwise(frames))


def test_the_pictures_are_real_ones_and_small() -> None:
    dataset = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop"))
    pictures = dataset.load("test")
    folder = resources.files("edgecnn.edge.camera") / "scene"
    contents = [(folder / f"{label}.png").read_bytes() for label in LABELS]
    for label, content in zip(LABELS, contents, strict=True):
        same = (pictures.images == pixels.decode(content, label)).all(axis=(1, 2, 3))
        assert [dataset.labels[number] for number in pictures.classes[same]] == [label]
    assert sum(map(len, contents)) < 60_000


def test_a_packaged_model_sees_what_is_shown() -> None:
    session = edgecnn.load(packaged.folder("models") / "cifar10-mobile" / "tflite-int8")
    scenery = Scenery(480, 640)
    for turn, label in enumerate(LABELS):
        frame = pixels.fit(scenery.draw(turn * TURN + TURN // 2), 32, 32, "crop")
        assert session.predict(frame)[0].label == label
