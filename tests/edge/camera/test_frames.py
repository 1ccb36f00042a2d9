"""frames.py: each encoding becomes RGB by the one way there is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgecnn.edge import pixels
from edgecnn.edge.camera.frames import ENCODINGS, Captured, decode
from edgecnn.edge.camera.scenery import Scenery
from edgecnn.errors import UnusableFile
from tests.edge.camera.v4l2_double import yuyv

IMAGE = Scenery(48, 64).draw(30)
JPEG = cv2.imencode(".jpg", IMAGE[:, :, ::-1])[1].reshape(-1)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_decoded(encoding: str) -> None:
    data = {"file": JPEG, "jpeg": JPEG, "yuyv": yuyv(IMAGE), "bgr": IMAGE[:, :, ::-1].copy(), "rgb": IMAGE}[encoding]
    decoded = decode(Captured(data, encoding, 1))
    assert decoded.shape == IMAGE.shape
    assert decoded.flags.c_contiguous
    if encoding in ("bgr", "rgb"):
        assert np.array_equal(decoded, IMAGE)
    elif encoding in ("file", "jpeg"):
        assert np.array_equal(decoded, pixels.decode(JPEG.tobytes(), "reference"))


def test_what_the_source_could_not_give_says_why() -> None:
    with pytest.raises(UnusableFile, match=r"^cat\.jpg: can't be read \(gone\)$"):
        decode(Captured(np.zeros(0, np.uint8), "file", 1, "cat.jpg", "cat.jpg: can't be read (gone)"))


def test_a_frame_has_its_name_in_messages() -> None:
    with pytest.raises(UnusableFile, match=r"^a/dog\.jpg: the file is empty"):
        decode(Captured(np.zeros(0, np.uint8), "file", 1, "a/dog.jpg"))
    with pytest.raises(UnusableFile, match=r"^a frame: the JPEG is cut off"):
        decode(Captured(JPEG[:200], "jpeg", 1))
