"""pixels.py against Pillow (decoding, orientation, alpha) and against worked examples (fitting)."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile, UsageError
from tests.edge.camera.v4l2_double import without_tables


def photo(height: int = 61, width: int = 83) -> Image.Image:
    """A smooth picture without symmetry, with some noise."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * y / height, 255 * x / width, 255 * (x + y) / (height + width)]
    noise = np.random.default_rng(2).integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(np.stack(channels, -1) + noise, 0, 255).astype(np.uint8))


def translucent() -> Image.Image:
    """The photo with an alpha channel of every value."""
    picture = photo()
    alpha = np.random.default_rng(3).integers(0, 256, (picture.height, picture.width), np.uint8)
    picture.putalpha(Image.fromarray(alpha))
    return picture


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def pillows(content: bytes) -> NDArray[np.uint8]:
    """What Pillow makes of the same file: upright, over white, uint8 [H, W, 3]."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))


def largest_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    assert a.shape == b.shape
    assert a.dtype == b.dtype == np.uint8
    return int(np.abs(a.astype(int) - b).max())


# --- decoding --------------------------------------------------------------------------------------------------------

# what is written, and how far the two decoders may be apart: lossy ones are two implementations of one standard
KINDS: dict[str, tuple[bytes, int]] = {
    "jpeg": (encoded(photo(), "JPEG"), 2),
    "jpeg, no subsampling": (encoded(photo(), "JPEG", subsampling=0, quality=95), 2),
    "jpeg, progressive": (encoded(photo(), "JPEG", progressive=True), 2),
    "jpeg, grey": (encoded(photo().convert("L"), "JPEG"), 2),
    "jpeg, CMYK": (encoded(photo().convert("CMYK"), "JPEG", quality=95), 3),
    "png": (encoded(photo(), "PNG"), 0),
    "png, grey": (encoded(photo().convert("L"), "PNG"), 0),
    "png, one bit": (encoded(photo().convert("1"), "PNG"), 0),
    "png, palette": (encoded(photo().quantize(64), "PNG"), 0),
    "png, palette of two bits": (encoded(photo().quantize(4), "PNG", bits=2), 0),
    "png, palette with alpha": (encoded(translucent().quantize(64), "PNG"), 1),
    "png, one colour transparent": (encoded(photo(), "PNG", transparency=photo().getpixel((3, 4))), 1),
    "png, alpha": (encoded(translucent(), "PNG"), 1),
    "png, grey with alpha": (encoded(translucent().convert("LA"), "PNG"), 1),
    "webp": (encoded(photo(), "WEBP"), 2),
    "webp, lossless": (encoded(photo(), "WEBP", lossless=True), 0),
    "webp, alpha": (encoded(translucent(), "WEBP", lossless=True, exact=True), 1),
    "bmp": (encoded(photo(), "BMP"), 0),
    "bmp, grey": (encoded(photo().convert("L"), "BMP"), 0),
    "bmp, palette": (encoded(photo().quantize(64), "BMP"), 0),
    "bmp, one bit": (encoded(photo().convert("1"), "BMP"), 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_decodes_as_pillow_does(kind: str) -> None:
    content, allowed = KINDS[kind]
    decoded = pixels.decode(content, kind)
    assert decoded.flags.c_contiguous
    assert largest_difference(decoded, pillows(content)) <= allowed


def test_one_pixel() -> None:
    one = Image.fromarray(np.array([[[10, 200, 30]]], np.uint8))
    assert pixels.decode(encoded(one, "PNG"), "one").tolist() == [[[10, 200, 30]]]


def test_alpha_is_blended_over_white() -> None:
    values = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [200, 100, 0, 128]]], np.uint8)
    decoded = pixels.decode(encoded(Image.fromarray(values), "PNG"), "alpha")
    assert decoded.tolist() == [[[255, 255, 255], [0, 0, 0], [227, 177, 127]]]  # 200 * 128/255 + 127 = 227.4 ...


def test_16_bits_keep_their_upper_8() -> None:
    grey = np.array([[0x0000, 0x00FF, 0x0100, 0x80FF, 0xFFFF]], np.uint16)
    decoded = pixels.decode(encoded(Image.fromarray(grey), "PNG"), "grey16")
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 0x80, 0xFF]
    assert (decoded == decoded[:, :, :1]).all()
    colour = png(2, 1, 16, 2, struct.pack(">BHHHHHH", 0, 0x1234, 0xABCD, 0xFF00, 0, 1, 2))
    assert pixels.decode(colour, "colour16").tolist() == [[[0x12, 0xAB, 0xFF], [0, 0, 0]]]
    translucent16 = png(1, 1, 16, 6, struct.pack(">BHHHH", 0, 0x6400, 0, 0xFFFF, 0x8000))
    assert pixels.decode(translucent16, "alpha16").tolist() == [[[177, 127, 255]]]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(format: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    content = encoded(photo(), format, exif=tags.tobytes())
    reference = pillows(content)
    assert largest_difference(pixels.decode(content, "turned"), reference) <= 2
    assert reference.shape[:2] == ((61, 83) if orientation < 5 else (83, 61))


# --- what can't be decoded -------------------------------------------------------------------------------------------


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand: sizes, bit depth, colour type, filtered rows."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def claiming(content: bytes, format: str, width: int, height: int) -> bytes:
    """The same file, with another size in its header."""
    if format == "PNG":
        return png(width, height, 8, 2, b"")
    changed = bytearray(content)
    if format == "JPEG":
        struct.pack_into(">HH", changed, content.index(b"\xff\xc0") + 5, height, width)
    if format == "BMP":
        struct.pack_into("<ii", changed, 18, width, height)
    return bytes(changed)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP"])
def test_a_bomb_is_named_before_it_goes_off(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = claiming(encoded(photo(8, 8), format), format, 60_000, 60_000)
    monkeypatch.setattr(pixels, "_decoded", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(UnusableFile, match=r"bomb: its header claims 60000x60000 pixels, more than the 100,000,000"):
        pixels.decode(bomb, "bomb")


def test_the_limit_can_be_set() -> None:
    content = encoded(photo(10, 10), "PNG")
    assert pixels.decode(content, "small", max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(UnusableFile, match="more than the 99"):
        pixels.decode(content, "small", max_pixels=99)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("left", [0.0, 0.05, 0.3, 0.7, 0.99])
def test_truncated_files_are_named(tmp_path: Path, format: str, left: float) -> None:
    content = encoded(photo(), format)
    path = tmp_path / "half.img"
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(UnusableFile, match=r"half\.img: .*(truncated|empty)"):
        pixels.read(path)


def test_a_header_with_nothing_behind_it() -> None:
    with pytest.raises(UnusableFile, match=r"hollow\.png: the PNG file can't be decoded"):
        pixels.decode(png(20, 20, 8, 2, b"")[:33] + png(1, 1, 8, 2, b"")[-12:], "hollow.png")


def test_a_text_file_named_jpg(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a picture at all\n")
    with pytest.raises(UnusableFile, match=r"notes\.jpg: an unknown type of file.*JPEG, PNG, WebP and BMP"):
        pixels.read(path)


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"gone\.png: can't be read \(No such file"):
        pixels.read(tmp_path / "gone.png")
    with pytest.raises(UnusableFile, match="can't be read"):
        pixels.read(tmp_path)


# --- a camera's frames -----------------------------------------------------------------------------------------------


def frame(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("behind", [b"", bytes(1000), b"\xff\xd9", b"\xff\xd8\xff\xe0 the frame before\xff\xd9\0"])
def test_a_cameras_jpeg_ends_where_it_says(subsampling: int, behind: bytes) -> None:
    """Cameras hand over buffers that are longer than their pictures."""
    content = encoded(photo(), "JPEG", subsampling=subsampling)
    decoded = pixels.decode_frame(frame(content + behind), "jpeg", "frame 7")
    assert np.array_equal(decoded, pixels.decode(content, "a file"))
    assert largest_difference(decoded, pillows(content)) <= 2
    assert decoded.flags.c_contiguous


def test_a_cameras_jpeg_may_lack_its_huffman_tables() -> None:
    """MJPEG means the standard's own (ITU-T T.81, K.3) where there are none."""
    content = encoded(photo(), "JPEG")
    bare = without_tables(content)
    assert content.count(b"\xff\xc4") == 4
    assert b"\xff\xc4" not in bare
    decoded = pixels.decode_frame(frame(bare), "jpeg", "frame 7")
    assert largest_difference(decoded, pillows(content)) <= 2


def test_a_cameras_jpeg_is_not_turned() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    decoded = pixels.decode_frame(frame(encoded(photo(), "JPEG", exif=tags.tobytes())), "jpeg", "frame 7")
    assert decoded.shape == (61, 83, 3)


@pytest.mark.parametrize("left", [0.0, 0.05, 0.5, 0.99])
def test_a_cameras_jpeg_that_is_cut_off_is_named(left: float) -> None:
    content = encoded(photo(), "JPEG")
    with pytest.raises(UnusableFile, match=r"^frame 7: the JPEG is cut off$"):
        pixels.decode_frame(frame(content[: int(len(content) * left)]), "jpeg", "frame 7")


def test_a_cameras_jpeg_that_is_none_is_named() -> None:
    with pytest.raises(UnusableFile, match=r"^frame 7: the JPEG is cut off$"):
        pixels.decode_frame(frame(bytes(100) + encoded(photo(), "JPEG")), "jpeg", "frame 7")
    with pytest.raises(UnusableFile, match=r"^frame 7: the JPEG can't be decoded"):
        pixels.decode_frame(frame(b"\xff\xd8 noise \xff\xd9"), "jpeg", "frame 7")


def bt601(yuyv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB of [H, W, 2] by ITU-R BT.601-7, limited range: Y of 16 to 235, Cb and Cr of 16 to 240 around 128."""
    luma = (yuyv[:, :, 0].astype(float) - 16) / 219
    blue = np.repeat((yuyv[:, ::2, 1].astype(float) - 128) / 224, 2, axis=1)
    red = np.repeat((yuyv[:, 1::2, 1].astype(float) - 128) / 224, 2, axis=1)
    colours = [
        luma + 2 * (1 - 0.299) * red,
        luma - 2 * (1 - 0.114) * 0.114 / 0.587 * blue - 2 * (1 - 0.299) * 0.299 / 0.587 * red,
        luma + 2 * (1 - 0.114) * blue,
    ]
    return np.rint(np.clip(np.stack(colours, -1), 0, 1) * 255).astype(np.uint8)


def test_yuyv_is_bt601_of_limited_range() -> None:
    every = np.random.default_rng(4).integers(0, 256, (200, 300, 2), np.uint8)  # out of range too: it is clipped
    every[:, :, 0] |= 16  # but OpenCV takes what is darker than black as black, before the colours are added
    decoded = pixels.decode_frame(every, "yuyv", "frame 7")
    assert largest_difference(decoded, bt601(every)) <= 2
    assert decoded.flags.c_contiguous
    named = np.array([[[16, 128], [235, 128], [81, 90], [81, 240], [41, 240], [41, 110]]], np.uint8)
    black, white, red, _, blue, _ = pixels.decode_frame(named, "yuyv", "frame 7")[0].astype(int)
    for pixel, expected in ((black, (0, 0, 0)), (white, (255, 255, 255)), (red, (255, 0, 0)), (blue, (0, 0, 255))):
        assert np.abs(pixel - expected).max() <= 2


def test_bgr_is_turned_around() -> None:
    image = np.asarray(photo())
    decoded = pixels.decode_frame(np.ascontiguousarray(image[:, :, ::-1]), "bgr", "frame 7")
    assert np.array_equal(decoded, image)
    assert decoded.flags.c_contiguous


@pytest.mark.parametrize("encoding", ["jpeg", "yuyv", "bgr"])
def test_a_cameras_frame_is_written_where_there_is_room_for_it(encoding: str) -> None:
    bgr = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    data = {"jpeg": frame(encoded(photo().resize((64, 48)), "JPEG")), "yuyv": bgr[:, :, :2].copy(), "bgr": bgr}
    memory = np.zeros((100, 48, 64, 3), np.uint8)
    asked: list[tuple[int, int]] = []

    def room(height: int, width: int) -> NDArray[np.uint8]:
        asked.append((height, width))
        return memory[50]

    assert np.shares_memory(pixels.decode_frame(data[encoding], encoding, "frame 7", room), memory[50])
    assert asked == [(48, 64)]
    assert np.array_equal(memory[50], pixels.decode_frame(data[encoding], encoding, "frame 7"))
    assert not memory[:50].any()
    assert not memory[51:].any()


def test_another_encoding_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^frame 7: there is no encoding 'yuv' of frames; did you mean 'yuyv'\?$"):
        pixels.decode_frame(frame(b""), "yuv", "frame 7")


# --- fitting ---------------------------------------------------------------------------------------------------------


def columns(*values: int) -> NDArray[np.uint8]:
    """A picture of one row, each value in three channels: uint8 [1, N, 3]."""
    return np.repeat(np.array([values], np.uint8)[:, :, None], 3, axis=2)


def test_the_same_size_is_the_same_pixels() -> None:
    image = np.asarray(photo())
    for resize in pixels.RESIZE_RULES:
        fitted = pixels.fit(image[:, ::-1], 61, 83, resize)
        assert np.array_equal(fitted, image[:, ::-1])
        assert fitted.flags.c_contiguous


def test_crop_takes_the_centre() -> None:
    wide = columns(0, 1, 2, 3, 4, 5, 6, 7, 8, 9).repeat(4, axis=0)  # 4 x 10
    assert pixels.fit(wide, 4, 4, "crop")[0, :, 0].tolist() == [3, 4, 5, 6]
    assert pixels.fit(wide, 2, 2, "crop")[0, :, 0].tolist() == [4, 6]  # means of 3, 4 and of 5, 6, halves to even
    tall = wide.transpose(1, 0, 2)
    assert pixels.fit(tall, 4, 4, "crop")[:, 0, 0].tolist() == [3, 4, 5, 6]


def test_letterbox_keeps_everything_between_borders_of_128() -> None:
    wide = columns(10, 10, 50, 50).repeat(2, axis=0)  # 2 x 4 into 4 x 4: a row above, a row below
    boxed = pixels.fit(wide, 4, 4, "letterbox")
    assert boxed[:, :, 0].tolist() == [[128] * 4, [10, 10, 50, 50], [10, 10, 50, 50], [128] * 4]
    half = pixels.fit(wide, 2, 2, "letterbox")  # 1 x 2 inside; the odd row of border lies below
    assert half[:, :, 0].tolist() == [[10, 50], [128, 128]]
    tall = pixels.fit(wide.transpose(1, 0, 2), 4, 4, "letterbox")
    assert np.array_equal(tall, boxed.transpose(1, 0, 2))


def test_shrinking_averages() -> None:
    """Area averaging sees every pixel; interpolation would miss most of them and alias."""
    fine = columns(*([0, 200] * 16)).repeat(8, axis=0)
    assert (pixels.fit(fine, 2, 4, "stretch") == 100).all()


@pytest.mark.parametrize(("have", "to"), [(480, 224), (480, 239), (482, 161), (720, 224), (96, 32), (481, 224)])
def test_shrinking_to_less_than_half_sees_every_pixel(have: int, to: int) -> None:
    """Interpolation alone would make broad bands of these stripes; a mean over uneven edges leaves some of them."""
    stripes = np.broadcast_to(columns(*([0, 200] * 400)[:have]), (have, have, 3))
    for picture in (stripes, stripes.transpose(1, 0, 2)):
        fitted = pixels.fit(np.ascontiguousarray(picture), to, to, "stretch").astype(int)
        assert np.abs(fitted[1:-1, 1:-1] - 100).max() <= (51 if have % 2 else 35)


def test_shrinking_to_less_than_half_is_halving_then_interpolating() -> None:
    """10 values in steps of 4 are halved to 2, 10, 18, 26, 34, and those looked up at 0.125, 1.375, 2.625, 3.875."""
    ramp = columns(*range(0, 40, 4)).repeat(10, axis=0)
    assert pixels.fit(ramp, 4, 4, "stretch")[0, :, 0].tolist() == [3, 13, 23, 33]
    whole = columns(0, 0, 0, 90, 0, 30, 60, 90, 0, 0, 0, 0).repeat(12, axis=0)
    assert pixels.fit(whole, 3, 3, "stretch")[0, :, 0].tolist() == [22, 45, 0], "in whole pixels: means of four"
    assert pixels.fit(whole, 3, 4, "stretch")[0, :, 0].tolist() == [0, 40, 50, 0], "of three"


@pytest.mark.parametrize(
    ("have", "to", "at_most"),
    [
        (480, 330, 0.3),
        (480, 224, 1.8),
        (480, 161, 1.8),
        (480, 128, 1.1),
        (480, 33, 0.9),
        (480, 96, 0.3),
        (481, 224, 0.3),
    ],
)
def test_shrinking_is_near_the_means(have: int, to: int, at_most: float) -> None:
    """The exact means over areas; beside it Pillow's BILINEAR, a wider average. Noise is the worst that can come."""
    picture = photo(have, have)
    exact = exact_means(np.asarray(picture, float), to)
    off = np.abs(pixels.fit(np.asarray(picture), to, to, "stretch") - exact).mean()
    others = np.abs(np.asarray(picture.resize((to, to), Image.Resampling.BILINEAR)) - exact).mean()
    assert off <= at_most * others


def exact_means(picture: NDArray[np.float64], to: int) -> NDArray[np.float64]:
    """Of the areas that the pixels of [to, to] cover in a square picture: integrals at their edges, subtracted."""
    edges = np.linspace(0, len(picture), to + 1)
    for axis in (0, 1):
        summed = np.cumsum(np.insert(picture, 0, 0, axis), axis)
        at = np.apply_along_axis(lambda line: np.interp(edges, np.arange(len(line)), line), axis, summed)
        picture = np.diff(at, axis=axis) * (to / (summed.shape[axis] - 1))
    return picture


@pytest.mark.parametrize(
    ("height", "width", "to", "digest"),
    [
        (480, 640, 224, "c5cf4b0aa5c31c63"),
        (482, 482, 161, "990c91c7f860d901"),
        (240, 320, 300, "aaf3dc0386b178aa"),
    ],
)
def test_what_is_interpolated_is_the_same_on_every_machine(height: int, width: int, to: int, digest: str) -> None:
    """The digests are those of x86 (AVX512) and of aarch64 (tools/virtual_pi), OpenCV 5.0.0's on both."""
    y, x = np.mgrid[0:height, 0:width]
    values = (7919 * x + 104729 * y) % 65521
    values = values * values % 65521
    picture = np.stack([values >> shift & 255 for shift in (0, 3, 6)], -1).astype(np.uint8)
    assert hashlib.sha256(pixels.fit(picture, to, to, "crop").tobytes()).hexdigest()[:16] == digest


def test_growing_interpolates() -> None:
    """Half-pixel centres: of 0, 100 the four values are 0, 25, 75, 100."""
    assert pixels.fit(columns(0, 100), 1, 4, "stretch")[0, :, 0].tolist() == [0, 25, 75, 100]


def test_one_side_shrinks_the_other_grows() -> None:
    fine = columns(*([0, 200] * 16)).repeat(2, axis=0)
    fine[1] //= 2  # averages: 100 above, 50 below
    assert pixels.fit(fine, 4, 4, "stretch")[:, 0, 0].tolist() == [100, 88, 63, 50]  # 87.5 and 62.5, halves up


@pytest.mark.parametrize("resize", pixels.RESIZE_RULES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 300), (300, 2), (32, 32), (97, 31)])
def test_every_size_comes_out(resize: str, height: int, width: int) -> None:
    for have in [(1, 1), (1, 500), (500, 1), (61, 83)]:
        image = np.full((*have, 3), 77, np.uint8)
        fitted = pixels.fit(image, height, width, resize)
        assert fitted.shape == (height, width, 3)
        assert fitted.dtype == np.uint8
        assert fitted.flags.c_contiguous
        assert set(np.unique(fitted)) <= {77, pixels.PAD}
        assert (fitted == 77).any()


# --- grey and colour --------------------------------------------------------------------------------------------------


def colours(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def test_grey_is_bt601_to_half_a_step() -> None:
    image = colours(64, 64)
    grey = pixels.fit(image, 64, 64, "crop", 1)
    assert (grey.shape, grey.dtype, grey.flags.c_contiguous) == ((64, 64, 1), np.uint8, True)
    exact = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[..., 0] - exact).max() <= 0.51
    pillow = np.asarray(Image.fromarray(image).convert("L"), np.int16)
    assert np.abs(grey[..., 0] - pillow).max() <= 1


def test_grey_in_three_channels_is_that_grey() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(pixels.with_channels(np.repeat(grey, 3, axis=2), 1), grey)
    assert np.array_equal(pixels.with_channels(grey, 3), np.repeat(grey, 3, axis=2))
    assert pixels.with_channels(grey, 1) is grey


@pytest.mark.parametrize("resize", pixels.RESIZE_RULES)
@pytest.mark.parametrize(("height", "width"), [(20, 30), (7, 9), (33, 70), (40, 12), (24, 48)])
def test_one_channel_is_resized_as_each_of_three(resize: str, height: int, width: int) -> None:
    grey = np.random.default_rng(4).integers(0, 256, (24, 48, 1), np.uint8)
    alone = pixels.fit(grey, height, width, resize, 1)
    assert alone.shape == (height, width, 1)
    assert np.array_equal(alone, pixels.fit(np.repeat(grey, 3, axis=2), height, width, resize, 1))
    assert np.array_equal(np.repeat(alone, 3, axis=2), pixels.fit(grey, height, width, resize))


def test_colour_becomes_grey_after_it_was_resized() -> None:
    image = colours(40, 60)
    small = pixels.fit(image, 10, 15, "stretch")
    assert np.array_equal(pixels.fit(image, 10, 15, "stretch", 1), pixels.with_channels(small, 1))
    buffer = np.zeros((10, 15, 1), np.uint8)
    pixels.fit_into(buffer, image, "stretch")
    assert np.array_equal(buffer, pixels.with_channels(small, 1))


@pytest.mark.parametrize("resize", pixels.RESIZE_RULES)
@pytest.mark.parametrize("channels", pixels.CHANNELS)
@pytest.mark.parametrize("of_a_view", [False, True])
@pytest.mark.parametrize(("height", "width"), [(40, 60), (13, 11), (80, 90), (20, 90), (90, 20), (40, 20), (80, 60)])
def test_a_buffer_is_given_what_fit_returns(
    resize: str, channels: int, of_a_view: bool, height: int, width: int
) -> None:
    image = np.random.default_rng(5).integers(0, 256, (50, 80, 3), np.uint8)
    image = image[5:45, 10:70] if of_a_view else np.ascontiguousarray(image[5:45, 10:70])
    buffer = np.full((2, height, width, channels), 7, np.uint8)
    pixels.fit_into(buffer[1], image, resize)
    assert np.array_equal(buffer[1], pixels.fit(np.ascontiguousarray(image), height, width, resize, channels))
    assert (buffer[0] == 7).all()


def test_a_grey_letterbox_has_the_same_border() -> None:
    boxed = pixels.fit(colours(10, 40), 20, 20, "letterbox", 1)
    assert set(boxed[:7].ravel()) == {128}


def test_an_unknown_rule_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no resize rule 'letterbx'; did you mean 'letterbox'"):
        pixels.fit(np.zeros((4, 4, 3), np.uint8), 4, 4, "letterbx")


def test_load_is_fit_of_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    photo().save(path)
    assert np.array_equal(pixels.load(path, 20, 24, "crop"), pixels.fit(np.asarray(photo()), 20, 24, "crop"))


@pytest.mark.parametrize("resize", pixels.RESIZE_RULES)
@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (97, 300), (96, 96), (72, 96)])
@pytest.mark.parametrize(("to_height", "to_width"), [(96, 96), (72, 96), (32, 64)])
def test_the_part_seen_is_where_the_pixels_come_from(
    resize: str, height: int, width: int, to_height: int, to_width: int
) -> None:
    """A picture whose pixels say where they are: halves of rows in red, of columns in green; blue marks the picture."""
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.stack([rows * 250 / height, columns * 250 / width, np.full_like(rows, 255)], axis=2).astype(np.uint8)
    fitted = pixels.fit(picture, to_height, to_width, resize).astype(float)
    part = pixels.part_seen(height, width, to_height, to_width, resize)
    said_rows = part.top + (np.arange(to_height) + 0.5) * part.height / to_height
    said_columns = part.left + (np.arange(to_width) + 0.5) * part.width / to_width
    inside = fitted[:, :, 2] == 255  # elsewhere is letterbox's border
    assert inside.any()
    tolerance = max(2.0, 1.5 * part.height / to_height, 1.5 * part.width / to_width)  # a pixel and a half of the model
    for row, column in zip(*np.nonzero(inside), strict=True):
        assert fitted[row, column, 0] * height / 250 == pytest.approx(said_rows[row], abs=tolerance + height / 250)
        assert fitted[row, column, 1] * width / 250 == pytest.approx(said_columns[column], abs=tolerance + width / 250)


def test_the_part_seen_of_an_unknown_rule() -> None:
    with pytest.raises(UsageError, match="did you mean 'letterbox'"):
        pixels.part_seen(10, 10, 5, 5, "letterbx")
