"""What an EXIF block says: which way up a picture is, and when and with which camera it was taken.

A block is a TIFF structure: directories of entries of twelve bytes. Sources: TIFF 6.0 (section 2), CIPA DC-008 (EXIF).
What is damaged is passed over, as far as it goes: a picture is worth more than what is said about it.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass

ORIENTATION, MODEL, TAKEN, TAKEN_FRACTION = 0x0112, 0x0110, 0x9003, 0x9291
"""Orientation and Model of the first directory; DateTimeOriginal and SubSecTimeOriginal of EXIF's own."""
EXIF_DIRECTORY = 0x8769
TEXT, SHORT, LONG = 2, 3, 4


@dataclass(frozen=True)
class Tag:
    """An entry: `kind` is TEXT, SHORT, LONG or another; the four bytes at `at` hold its value, or where that lies."""

    kind: int
    count: int
    at: int


def orientation(tiff: bytes) -> int:
    """EXIF's Orientation, 1 to 8; 1, as it lies, where there is none."""
    value = _number(tiff, _tags(tiff, _first(tiff)).get(ORIENTATION), SHORT)
    return value if value is not None and 1 <= value <= 8 else 1


def taken(tiff: bytes) -> tuple[str, str, str]:
    """DateTimeOriginal ("2026:11:25 03:45:01"), its fraction's digits ("12" for 0.12 s), Model; empty where unsaid."""
    first = _tags(tiff, _first(tiff))
    inner = _tags(tiff, _number(tiff, first.get(EXIF_DIRECTORY), LONG))
    return _text(tiff, inner.get(TAKEN)), _text(tiff, inner.get(TAKEN_FRACTION)), _text(tiff, first.get(MODEL))


def _order(tiff: bytes) -> str:
    """How its numbers are written, in the words of the struct module; as little-endian where it is no TIFF at all."""
    return ">" if tiff[:2] == b"MM" else "<"


def _first(tiff: bytes) -> int | None:
    """Where the first directory lies; None where this is no TIFF structure."""
    if tiff[:2] not in (b"II", b"MM") or len(tiff) < 8:
        return None
    return int(struct.unpack_from(f"{_order(tiff)}I", tiff, 4)[0])


def _tags(tiff: bytes, directory: int | None) -> dict[int, Tag]:
    """The entries of the directory at that place; the first of two with the same number."""
    found: dict[int, Tag] = {}
    if directory is None:
        return found
    with suppress(struct.error):
        (count,) = struct.unpack_from(f"{_order(tiff)}H", tiff, directory)
        for at in range(directory + 2, directory + 2 + 12 * count, 12):
            number, kind, values = struct.unpack_from(f"{_order(tiff)}HHI", tiff, at)
            found.setdefault(number, Tag(kind, values, at + 8))
    return found


def _number(tiff: bytes, tag: Tag | None, kind: int) -> int | None:
    if tag is None or tag.kind != kind:
        return None
    with suppress(struct.error):
        return int(struct.unpack_from(f"{_order(tiff)}{'H' if kind == SHORT else 'I'}", tiff, tag.at)[0])
    return None


def _text(tiff: bytes, tag: Tag | None) -> str:
    if tag is None or tag.kind != TEXT:
        return ""
    at = tag.at if tag.count <= 4 else _number(tiff, Tag(LONG, 1, tag.at), LONG)
    content = b"" if at is None else tiff[at : at + tag.count]
    return content.split(b"\0")[0].decode("latin-1").strip()
