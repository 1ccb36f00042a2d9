"""headers.py against Pillow, which reads the same files in its own way, and against files that are cut or lie."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecnn.edge.headers import check_whole, read_header
from edgecnn.errors import UnusableFile

FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "BMP": "BMP"}


def encoded(format: str, height: int = 30, width: int = 50, mode: str = "RGB", **options: Any) -> bytes:
    """A picture of noise, written by Pillow."""
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, format, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    """An EXIF block that holds an orientation, and a thumbnail: a whole JPEG with an end marker of its own."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes() + encoded("JPEG", 8, 8)


@pytest.mark.parametrize(("pillow", "ours"), FORMATS.items())
@pytest.mark.parametrize(("height", "width"), [(1, 1), (30, 50), (17, 300)])
def test_size_and_format_are_pillows(pillow: str, ours: str, height: int, width: int) -> None:
    content = encoded(pillow, height, width)
    header = read_header(content, "picture")
    assert (header.format, header.width, header.height) == (ours, width, height)
    assert header.orientation == 1
    check_whole(content, header, "picture")


@pytest.mark.parametrize(
    "options",
    [
        {"format": "JPEG", "progressive": True},
        {"format": "JPEG", "mode": "L"},
        {"format": "JPEG", "mode": "CMYK"},
        {"format": "JPEG", "restart_marker_rows": 1},
        {"format": "JPEG", "comment": b"\xff\xd9\xff\xda"},
        {"format": "PNG", "mode": "P"},
        {"format": "PNG", "mode": "LA"},
        {"format": "PNG", "mode": "1"},
        {"format": "WEBP", "lossless": True},
        {"format": "WEBP", "mode": "RGBA"},
        {"format": "BMP", "mode": "L"},
        {"format": "BMP", "mode": "1"},
    ],
    ids=str,
)
def test_other_kinds_of_each_format(options: dict[str, Any]) -> None:
    content = encoded(**options)
    header = read_header(content, "picture")
    assert (header.width, header.height) == (50, 30)
    check_whole(content, header, "picture")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(format: str, orientation: int) -> None:
    assert read_header(encoded(format, exif=exif(orientation)), "picture").orientation == orientation


def test_orientation_in_big_endian_and_damaged_exif() -> None:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    block = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    for tiff, expected in [(block, 6), (block[:-12], 1), (b"MM\0*\xff\xff\xff\xff", 1), (b"junk", 1), (b"", 1)]:
        content = encoded("JPEG", exif=b"Exif\0\0" + tiff)
        assert read_header(content, "picture").orientation == expected, tiff


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("left", [0.02, 0.1, 0.5, 0.9, 0.99])
def test_truncated(format: str, left: float) -> None:
    whole = encoded(format, 100, 100)
    content = whole[: int(len(whole) * left)]
    with pytest.raises(UnusableFile, match=r"^holiday: the .* file is truncated"):
        check_whole(content, read_header(content, "holiday"), "holiday")


@pytest.mark.parametrize("format", FORMATS)
def test_every_cut_is_found(format: str) -> None:
    """Each length short of the whole, byte by byte. (A WebP's last byte may be padding, a PNG's a checksum.)"""
    whole = encoded(format, 6, 5)
    for length in range(len(whole)):
        content = whole[:length]
        with pytest.raises(UnusableFile, match="picture: "):
            check_whole(content, read_header(content, "picture"), "picture")


@pytest.mark.parametrize("progressive", [False, True])
def test_the_thumbnails_end_marker_is_not_the_pictures(progressive: bool) -> None:
    whole = encoded("JPEG", 100, 100, exif=exif(1), progressive=progressive)
    assert whole.count(b"\xff\xd9") >= 2, "the thumbnail has an end marker too"
    check_whole(whole, read_header(whole, "picture"), "picture")
    for content in (whole[:-2], whole[: len(whole) // 2]):
        with pytest.raises(UnusableFile, match="truncated"):
            check_whole(content, read_header(content, "picture"), "picture")


def test_what_follows_the_picture_does_not_matter() -> None:
    for format in FORMATS:
        content = encoded(format) + b"appended by a camera"
        check_whole(content, read_header(content, "picture"), "picture")


def test_a_flipped_bit_in_a_png() -> None:
    content = bytearray(encoded("PNG"))
    content[len(content) // 2] ^= 1
    with pytest.raises(UnusableFile, match="the checksum of its IDAT chunk is wrong"):
        check_whole(bytes(content), read_header(bytes(content), "picture"), "picture")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text", "an unknown type of file.*JPEG, PNG, WebP and BMP"),
        (b"GIF89a" + bytes(20), "a GIF file"),
        (b"II*\0" + bytes(20), "a TIFF file"),
        (b"\0\0\0\x18ftypheic" + bytes(20), r"a HEIC or video file \('heic'\)"),
        (b"\0\0\0\x18ftypavif" + bytes(20), "an AVIF file"),
        (b"%PDF-1.4", "a PDF file"),
        (b"\xff\xd8\xff\xd9", "ends before its picture begins"),
        (b"\xff\xd8", "truncated inside its header"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "its first chunk is not IHDR"),
        (b"RIFF\x04\0\0\0WEBP", "truncated inside its header"),
        (b"BM" + bytes(60), "says that it is 0x0 pixels"),
    ],
)
def test_what_is_no_picture_is_named(content: bytes, message: str) -> None:
    with pytest.raises(UnusableFile, match=message) as raised:
        read_header(content, "dir/odd.jpg")
    assert str(raised.value).startswith("dir/odd.jpg: ")


def test_animations_are_refused() -> None:
    frame = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    file = io.BytesIO()
    other = Image.fromarray(np.full((8, 8, 3), 255, np.uint8))
    frame.save(file, "WEBP", save_all=True, append_images=[other])
    with pytest.raises(UnusableFile, match="it is an animation"):
        read_header(file.getvalue(), "picture")
