"""exif.py against Pillow, which writes the blocks, in both byte orders and damaged."""

from __future__ import annotations

import pytest
from PIL import Image

from edgecnn.edge.exif import orientation, taken

TAKEN = ("2026:11:25 03:45:01", "123", "Pinhole 3")


def block(endian: str, when: str = TAKEN[0], fraction: str = TAKEN[1], model: str = TAKEN[2]) -> bytes:
    """A TIFF structure with the orientation 6, a model, a time and its fraction."""
    tags = Image.Exif()
    tags.endian = endian
    tags[0x0112], tags[0x0110] = 6, model
    inner = tags.get_ifd(0x8769)
    inner[0x9003], inner[0x9291] = when, fraction
    return tags.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("endian", ["<", ">"])
def test_what_pillow_wrote(endian: str) -> None:
    tiff = block(endian)
    assert tiff[:2] == {"<": b"II", ">": b"MM"}[endian]
    assert orientation(tiff) == 6
    assert taken(tiff) == TAKEN
    assert taken(block(endian, fraction="7", model="ab")) == (TAKEN[0], "7", "ab"), "short texts lie in the entry"


def test_nothing_is_said() -> None:
    assert taken(b"") == ("", "", "")
    assert taken(b"junk that is no TIFF") == ("", "", "")
    assert taken(Image.Exif().tobytes().removeprefix(b"Exif\0\0")) == ("", "", "")
    assert orientation(b"II*\0") == 1


@pytest.mark.parametrize("endian", ["<", ">"])
def test_damage_is_passed_over(endian: str) -> None:
    """Cut anywhere, or with any byte changed: an answer of the same kind, and never an error."""
    tiff = block(endian)
    for cut in range(len(tiff)):
        assert all(isinstance(text, str) for text in taken(tiff[:cut]))
        for value in (0, 255):
            damaged = tiff[:cut] + bytes([value]) + tiff[cut + 1 :]
            assert all(isinstance(text, str) for text in taken(damaged))
            assert 1 <= orientation(damaged) <= 8
