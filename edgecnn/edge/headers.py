"""What a picture file says about itself before anything is decoded: its format, its size, its EXIF orientation.

Decoders allocate what a header claims, and OpenCV silently fills the missing part of a truncated file with grey. So the
size is read here first, and the file is walked to its end: a decompression bomb or half a download is found before a
pixel is made. Sources: ITU-T T.81 (JPEG), the PNG specification (W3C, third edition), RFC 9649 (WebP),
Microsoft's BITMAPINFOHEADER (BMP). What an EXIF block holds, exif.py reads.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from edgecnn.edge.exif import orientation
from edgecnn.errors import UnusableFile

SUPPORTED = "JPEG, PNG, WebP and BMP"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True)
class Header:
    """format: "JPEG", "PNG", "WebP" or "BMP". width, height: pixels, as stored. orientation: EXIF's, 1 to 8."""

    format: str
    width: int
    height: int
    orientation: int = 1


def read_header(content: bytes, name: str) -> Header:
    """The header of a picture file; `name` is for messages.

    Raises UnusableFile when the file is empty, of another type, or ends or is damaged inside its header.
    """
    kind = _format(content, name)
    readers = {"JPEG": _jpeg_header, "PNG": _png_header, "WebP": _webp_header, "BMP": _bmp_header}
    try:
        header = readers[kind](content)
    except (struct.error, IndexError) as error:
        raise UnusableFile(f"{name}: the {kind} file is truncated inside its header; get it anew") from error
    except ValueError as error:
        raise UnusableFile(f"{name}: the {kind} file can't be read: {error}") from error
    if header.width < 1 or header.height < 1:
        raise UnusableFile(f"{name}: the {kind} file says that it is {header.width}x{header.height} pixels")
    return header


def check_whole(content: bytes, header: Header, name: str) -> None:
    """UnusableFile when the file of this header ends before its picture does, or (PNG) when a checksum is wrong."""
    checks = {"JPEG": _jpeg_end, "PNG": _png_end, "WebP": _webp_end, "BMP": _bmp_end}
    try:
        whole = checks[header.format](content)
    except struct.error:
        whole = False
    except ValueError as error:
        raise UnusableFile(f"{name}: the {header.format} file is damaged: {error}; get it anew") from error
    if not whole:
        raise UnusableFile(f"{name}: the {header.format} file is truncated at {len(content):,} bytes; get it anew")


# --- which format ----------------------------------------------------------------------------------------------------

_OTHERS = (
    (b"GIF8", "a GIF file"),
    (b"II*\0", "a TIFF file"),
    (b"MM\0*", "a TIFF file"),
    (b"%PDF", "a PDF file"),
    (b"PK\3\4", "a zip file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
)


def _format(content: bytes, name: str) -> str:
    if content.startswith(b"\xff\xd8"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content.startswith(b"BM"):
        return "BMP"
    if not content:
        raise UnusableFile(f"{name}: the file is empty; get it anew")
    raise UnusableFile(f"{name}: {_other(content)}, not a picture edgecnn reads; convert it to one of {SUPPORTED}")


def _other(content: bytes) -> str:
    """What an unsupported file is, as far as its first bytes say."""
    if content[4:8] == b"ftyp":
        brand = content[8:12].decode("latin-1").strip()
        return {"avif": "an AVIF file", "avis": "an AVIF file"}.get(brand, f"a HEIC or video file ('{brand}')")
    for start, what in _OTHERS:
        if content.startswith(start):
            return what
    return "an unknown type of file"


# --- JPEG ------------------------------------------------------------------------------------------------------------

_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without DHT, JPG and DAC
_BARE = frozenset([0x00, 0x01, *range(0xD0, 0xD9)])  # markers without a length: stuffing, TEM, RST0 to RST7, SOI
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # what ends entropy-coded data: no stuffing, restart or fill


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's payload, up to the first scan. A thumbnail is inside one, and passed."""
    at = 2
    while True:
        at = content.find(b"\xff", at)
        if at < 0:
            raise struct.error
        while content[at] == 0xFF:
            at += 1
        marker, at = content[at], at + 1
        if marker in _BARE:
            continue
        if marker == _EOI:
            raise ValueError("it ends before its picture begins")
        (length,) = struct.unpack_from(">H", content, at)
        yield marker, at + 2, at + length
        at += length
        if marker == _SOS:
            return


def _jpeg_header(content: bytes) -> Header:
    size = None
    for marker, start, _ in _jpeg_segments(content):
        if marker in _FRAMES and size is None:
            size = struct.unpack_from(">HH", content, start + 1)
    if size is None:
        raise ValueError("it has no frame header")
    return Header("JPEG", size[1], size[0], orientation(_jpeg_exif(content)))


def _jpeg_exif(content: bytes) -> bytes:
    found = b""
    for marker, start, end in _jpeg_segments(content):
        if marker == _APP1 and content[start : start + 6] == b"Exif\0\0":
            found = content[start + 6 : end]
    return found


def _jpeg_end(content: bytes) -> bool:
    """Whether the main image's end marker is there, after all of its scans."""
    at = [end for _, _, end in _jpeg_segments(content)][-1]
    while found := _MARKER.search(content, at):
        marker = found[1][0]
        if marker == _EOI:
            return True
        at = found.end()
        if marker not in _BARE:
            at += struct.unpack_from(">H", content, at)[0]
    return False


# --- PNG -------------------------------------------------------------------------------------------------------------


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk's payload; struct.error where the file ends early."""
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        if at + 12 + length > len(content):
            raise struct.error
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _png_header(content: bytes) -> Header:
    kind, width, height = struct.unpack_from(">4sII", content, 12)
    if kind != b"IHDR":
        raise ValueError("its first chunk is not IHDR")
    return Header("PNG", width, height, orientation(_png_exif(content)))


def _png_exif(content: bytes) -> bytes:
    found = b""
    with suppress(struct.error):  # check_whole says so, once the size is known to be sane
        for kind, start, end in _png_chunks(content):
            if kind == b"eXIf":
                found = content[start:end]
    return found


def _png_end(content: bytes) -> bool:
    for kind, start, end in _png_chunks(content):
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(content[start - 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
    return True


# --- WebP ------------------------------------------------------------------------------------------------------------


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, at)
        yield kind, at + 8, at + 8 + length
        at += 8 + length + length % 2


def _webp_header(content: bytes) -> Header:
    size = None
    for kind, start, _ in _webp_chunks(content):
        size = size or _webp_size(content, kind, start)
        if kind in (b"ANIM", b"ANMF"):
            raise ValueError("it is an animation; save one of its frames")
    if size is None:
        raise struct.error
    return Header("WebP", *size, orientation(_webp_exif(content)))


def _webp_exif(content: bytes) -> bytes:
    found = b""
    for kind, start, end in _webp_chunks(content):
        if kind == b"EXIF":
            found = content[start:end].removeprefix(b"Exif\0\0")
    return found


def _webp_size(content: bytes, kind: bytes, start: int) -> tuple[int, int] | None:
    """Width and height from a chunk that has them (RFC 9649, sections 2.5 to 2.7)."""
    if kind == b"VP8X":
        low, high, low_height, high_height = struct.unpack_from("<HBHB", content, start + 4)
        return (high << 16 | low) + 1, (high_height << 16 | low_height) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, start + 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, start + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _webp_end(content: bytes) -> bool:
    (size,) = struct.unpack_from("<I", content, 4)
    return bool(len(content) >= size + 8)


# --- BMP -------------------------------------------------------------------------------------------------------------

_BMP_CORE_BYTES = 12  # the OS/2 header: 16-bit sizes, never compressed
_BMP_RUN_LENGTH = (1, 2)


def _bmp_header(content: bytes) -> Header:
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header_bytes == _BMP_CORE_BYTES else "<ii", content, 18)
    return Header("BMP", width, abs(height))  # a negative height: rows from the top


def _bmp_end(content: bytes) -> bool:
    """Whether all rows are there; run-length-coded ones have no known size, the file's own is taken."""
    file_bytes, _, pixels_at, header_bytes = struct.unpack_from("<IIII", content, 2)
    core = header_bytes == _BMP_CORE_BYTES
    width, height, _, bits = struct.unpack_from("<HHHH" if core else "<iiHH", content, 18)
    if not core and struct.unpack_from("<I", content, 30)[0] in _BMP_RUN_LENGTH:
        return bool(len(content) >= file_bytes)
    return bool(len(content) >= pixels_at + (width * bits + 31) // 32 * 4 * abs(height))


# --- EXIF ------------------------------------------------------------------------------------------------------------


def exif_block(content: bytes, header: Header) -> bytes:
    """The EXIF block of a picture file with this header, for exif.py; empty where it has none."""
    blocks = {"JPEG": _jpeg_exif, "PNG": _png_exif, "WebP": _webp_exif}
    return blocks[header.format](content) if header.format in blocks else b""
