"""What a device makes of a map's logits; files and their refusals are in tests/verbs/test_class_maps.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecnn.edge.artifact import ClassOutput, ImageInput, Manifest
from edgecnn.edge.camera.heatmap import KIND, ClassMap, HeatMap
from edgecnn.records import from_json, to_json

LOGITS = np.zeros((2, 3, 4), np.float32)  # h, w, K
LOGITS[1, 2] = (9, 0, 0, 0)
LOGITS[0, 0] = (0, 0, np.log(3.0), 0)  # 3 of 6


def record(layout: str) -> ClassMap:
    given = ImageInput("image", 64, 96, 3, "crop")
    output = ClassOutput("logits", KIND, "float32", None, None)
    manifest = Manifest(
        "net", "tflite", "fp32", "fp32", "model.tflite", 1, "0", given, output, ("a", "b", "c", "d"), {}, {}
    )
    return ClassMap(manifest, 2, 3, layout, "0" * 64, 1.0, 8)


def opened(layout: str) -> HeatMap:
    raw = LOGITS[None] if layout == "NHWC" else LOGITS.transpose(2, 0, 1)[None]
    engine: Any = SimpleNamespace(raw=lambda images: raw, values=lambda values: values)
    return HeatMap(record(layout), engine)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_each_place_says_how_probable_the_label_is_there(layout: str) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    assert np.array_equal(opened(layout).logits(picture), LOGITS)
    assert opened(layout).of(picture, 2).tolist() == [[128, 64, 64], [64, 64, 0]]
    assert opened(layout).of(picture, 0)[1, 2] == 255
    assert sum(opened(layout).of(picture, index).astype(int) for index in range(4)) == pytest.approx(255, abs=2)


def test_what_is_nowhere_is_not_made_bright() -> None:
    """The fault looked for: maps scaled to their own strongest place, which always show something."""
    assert opened("NHWC").of(np.zeros((64, 96, 3), np.uint8), 3).max() == 64


def test_the_record_is_read_as_it_was_written() -> None:
    assert from_json(ClassMap, to_json(record("NCHW"))) == record("NCHW")
