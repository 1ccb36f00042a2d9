"""When a picture was taken, by names as cameras give them and by EXIF as Pillow writes it; what is one burst."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from PIL import Image

from edgecnn.data.shots import Shot, bursts, shots_of
from edgecnn.edge.camera.record import file_name
from edgecnn.edge.headers import exif_block, read_header


def seconds(*moment: int) -> float:
    return (datetime(*moment) - datetime(1970, 1, 1)).total_seconds()  # type: ignore[arg-type]


NAMES = {
    "20261125-034501.123.jpg": ("", seconds(2026, 11, 25, 3, 45, 1) + 0.123),
    "20261125-034501.jpg": ("", seconds(2026, 11, 25, 3, 45, 1)),
    "2026-11-25T03-45-01.123_0.93.jpg": ("", seconds(2026, 11, 25, 3, 45, 1) + 0.123),
    file_name(1_795_578_301_123_000_000, 0.93): ("", seconds(2026, 11, 25, 3, 45, 1) + 0.123),
    "IMG_20240102_123456.jpg": ("IMG_", seconds(2024, 1, 2, 12, 34, 56)),
    "IMG_20240102_123456_1.jpg": ("IMG_", seconds(2024, 1, 2, 12, 34, 56)),
    "PXL_20240102_123456789.jpg": ("PXL_", seconds(2024, 1, 2, 12, 34, 56) + 0.789),
    "2024-01-02 12.34.56.jpg": ("", seconds(2024, 1, 2, 12, 34, 56)),
    "00001IMG_00001_BURST20180102123456.jpg": ("00001IMG_00001_BURST", seconds(2018, 1, 2, 12, 34, 56)),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_cameras(name: str) -> None:
    source, expected = NAMES[name]
    (shot,) = shots_of(name, b"")
    assert (shot.source, shot.seconds) == (f"file {source}", pytest.approx(expected))


@pytest.mark.parametrize(
    "name",
    [
        "cat.jpg",
        "0001.jpg",
        "IMG-20240102-WA0003.jpg",
        "20241302_123456.jpg",
        "20240102_256099.jpg",
        "1704198896123.jpg",
    ],
)
def test_names_that_are_no_times(name: str) -> None:
    assert shots_of(name, b"") == ()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_of_each_format(format: str) -> None:
    tags = Image.Exif()
    tags[0x0110] = "Pinhole 3"
    tags.get_ifd(0x8769).update({0x9003: "2024:01:02 12:34:56", 0x9291: "5"})
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, format, exif=tags)
    tiff = exif_block(file.getvalue(), read_header(file.getvalue(), "a"))
    assert shots_of("a.jpg", tiff) == (Shot("camera Pinhole 3", seconds(2024, 1, 2, 12, 34, 56) + 0.5),)


def test_exif_that_says_no_time() -> None:
    for when in ("0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"):
        tags = Image.Exif()
        tags.get_ifd(0x8769)[0x9003] = when
        assert shots_of("a.jpg", tags.tobytes().removeprefix(b"Exif\0\0")) == ()


def test_bursts_follow_each_other_in_one_source() -> None:
    shots = [
        (Shot("a", 10.0),),
        (Shot("b", 11.0),),  # another camera
        (Shot("a", 13.5),),
        (),  # nothing is known
        (Shot("a", 12.0), Shot("b", 50.0)),
        (Shot("a", 16.0),),  # 2.5 s after the last
        (Shot("b", 51.9),),
    ]
    assert sorted(bursts(shots)) == [(0, 4), (4, 2), (4, 6)]


def test_a_long_burst_is_cut_where_it_is_asked_for() -> None:
    """And a pause begins a new one, whose time counts from there."""
    shots = [(Shot("a", float(second)),) for second in (0, 1, 2, 3, 4, 10, 11, 12, 13)]
    assert len(list(bursts(shots))) == 7
    assert list(bursts(shots, 3.0)) == [(0, 1), (1, 2), (2, 3), (5, 6), (6, 7), (7, 8)]
