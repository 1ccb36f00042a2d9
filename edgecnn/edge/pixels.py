"""The only way from a picture to pixels: evaluation, calibration, predict and the camera all call this file.

Two resizers that differ a little are the usual cause of "99 % here, nonsense on my device". So decoding, orientation,
colour, cropping and resizing are written once, here, and training adds its augmentation after it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge.headers import check_whole, read_header
from edgecnn.errors import UnusableFile, UsageError, nearest

Image = NDArray[np.uint8]  # [H, W, 3] RGB, or [H, W, 1] grey where that is said

RESIZE_RULES = ("crop", "letterbox", "stretch")
PAD = 128  # letterbox's border: the zero of (x - 128) / 128
CHANNELS = (1, 3)  # grey, RGB

Room = Callable[[int, int], Image]
"""(height, width) -> memory for a picture, uint8 [height, width, 3]."""


class Part(NamedTuple):
    """A part of a picture, in its pixels; it may reach beyond."""

    top: int
    left: int
    height: int
    width: int


def load(path: Path, height: int, width: int, resize: str, channels: int = 3) -> Image:
    """A picture file as the model takes it: uint8 [height, width, channels]. Raises what `read` and `fit` raise."""
    return fit(read(path), height, width, resize, channels)


# --- from a file -----------------------------------------------------------------------------------------------------


def read(path: Path) -> Image:
    """A picture file as uint8 [H, W, 3] RGB, upright; UnusableFile as `decode` has it, or when it can't be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    return decode(content, str(path))


def decode(content: bytes, name: str, max_pixels: int = 100_000_000) -> Image:
    """The bytes of a JPEG, PNG, WebP or BMP file as uint8 [H, W, 3] RGB, turned upright by its EXIF orientation.

    Grey becomes three equal channels; of 16 bits the upper 8 are kept; transparency is blended over white; a palette is
    looked up. The fourth byte of a 32-bit BMP is passed over: most writers leave it unset. A grey PNG's one
    transparent value (tRNS) is passed over, as OpenCV does. Colour profiles are not applied.

    Raises UnusableFile, with `name`, when the file is empty, of another type, truncated or damaged, and, before
    anything is decoded, when its header claims more than `max_pixels`.
    """
    header = read_header(content, name)
    if header.width * header.height > max_pixels:
        raise UnusableFile(
            f"{name}: its header claims {header.width}x{header.height} pixels, more than the {max_pixels:,} that are "
            "decoded; make it smaller first"
        )
    check_whole(content, header, name)
    return _upright(_rgb(_decoded(content, header.format, name)), header.orientation)


def _decoded(content: bytes, kind: str, name: str) -> NDArray[Any]:
    """What OpenCV makes of the file: grey, BGR or BGRA of 8 or 16 bits, not turned."""
    import cv2

    with_alpha = kind in ("PNG", "WebP")
    flags = cv2.IMREAD_UNCHANGED if with_alpha else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise UnusableFile(f"{name}: the {kind} file can't be decoded ({error.err})") from error
    if decoded is None:
        raise UnusableFile(f"{name}: the {kind} file can't be decoded: it is damaged, or of a rare kind")
    return decoded


def _rgb(decoded: NDArray[Any]) -> Image:
    """OpenCV's grey, BGR or BGRA of 8 or 16 bits as uint8 [H, W, 3] RGB, over white."""
    image = (decoded >> 8).astype(np.uint8) if decoded.dtype == np.uint16 else decoded
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.uint32)
        image = ((image[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(image[:, :, ::-1])


def _upright(image: Image, orientation: int) -> Image:
    """Undo an EXIF orientation (CIPA DC-008, tag 0x0112): 1 lies as it should, 6 needs a quarter turn clockwise."""
    turns = {3: 2, 4: 2, 5: -1, 6: -1, 7: 1, 8: 1}  # quarter turns, counter-clockwise
    mirrored = orientation in (2, 4, 5, 7)
    turned = np.rot90(image, turns.get(orientation, 0))
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


# --- from a camera ---------------------------------------------------------------------------------------------------


def new_room(height: int, width: int) -> Image:
    """Memory of its own for a picture."""
    return np.empty((height, width, 3), np.uint8)


def decode_frame(data: NDArray[np.uint8], encoding: str, name: str, room: Room = new_room) -> Image:
    """A camera's frame as uint8 [H, W, 3] RGB: `jpeg` [N] bytes (MJPEG, which may leave out its Huffman tables), `yuyv`
    [H, W, 2] (BT.601, as V4L2 delivers) or `bgr` [H, W, 3]; written where `room` says, once its size is known.

    Raises UnusableFile, with `name`, for a JPEG that is cut off or damaged; UsageError for another encoding.
    """
    import cv2

    if encoding == "jpeg":
        return _coloured(_camera_jpeg(data, name), cv2.COLOR_BGR2RGB, room)
    if encoding == "yuyv":
        return _coloured(data, cv2.COLOR_YUV2RGB_YUYV, room)
    if encoding == "bgr":
        return _coloured(data, cv2.COLOR_BGR2RGB, room)
    raise UsageError(f"{name}: there is no encoding '{encoding}' of frames{nearest(encoding, ('jpeg', 'yuyv', 'bgr'))}")


def _coloured(data: NDArray[np.uint8], code: int, room: Room) -> Image:
    import cv2

    out = room(data.shape[0], data.shape[1])
    cv2.cvtColor(data, code, dst=out)
    return out


def _camera_jpeg(data: NDArray[np.uint8], name: str) -> Image:
    """uint8 [H, W, 3] BGR."""
    import cv2

    content = data.tobytes()
    end = content.rfind(b"\xff\xd9")  # cameras fill up the buffer behind it
    if not content.startswith(b"\xff\xd8") or end < 0:
        raise UnusableFile(f"{name}: the JPEG is cut off")
    try:
        decoded = cv2.imdecode(data[: end + 2], cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise UnusableFile(f"{name}: the JPEG can't be decoded ({error.err})") from error
    if decoded is None:
        raise UnusableFile(f"{name}: the JPEG can't be decoded")
    return np.asarray(decoded, np.uint8)


# --- to the model's size ---------------------------------------------------------------------------------------------


def check_rule(resize: str) -> None:
    """UsageError, naming the nearest rule, when there is no such resize rule."""
    if resize not in RESIZE_RULES:
        raise UsageError(f"there is no resize rule '{resize}'{nearest(resize, RESIZE_RULES)}")


def fit_into(out: Image, image: Image, resize: str) -> None:
    """Write what `fit` returns into `out`, uint8 [height, width, channels]: a buffer that is made once."""
    check_rule(resize)
    height, width, channels = out.shape
    same = image.shape[2] == channels
    fitted = with_channels(_fit(image, height, width, resize, out if same else None), channels)
    if fitted is not out:
        np.copyto(out, fitted)


def fit(image: Image, height: int, width: int, resize: str, channels: int = 3) -> Image:
    """Bring a uint8 [H, W, 3] or [H, W, 1] picture to [height, width, channels], contiguous.

    Where the size matches, these are the very same pixels. Colour becomes grey, and grey colour, after the resizing,
    as `with_channels` has it.

    crop:      the largest centred part of the target's aspect, resized.
    letterbox: the whole picture scaled to fit inside, centred, with a border of 128.
    stretch:   the whole picture resized, its aspect lost.

    A side that shrinks is averaged (cv2.INTER_AREA), a side that grows is interpolated (INTER_LINEAR_EXACT); where one
    shrinks and the other grows, shrinking comes first. Where both sides are even and shrink to less than half, but not
    by whole pixels, every 2 x 2 become one first, and what then shrinks to more than two thirds is interpolated: that
    is faster (a camera's 640x480 to 224x224), if not quite as sharp, and the same on x86 and ARM, which INTER_LINEAR's
    pixels are not. Raises UsageError for another rule.
    """
    check_rule(resize)
    return with_channels(_fit(image, height, width, resize), channels)


def _fit(image: Image, height: int, width: int, resize: str, out: Image | None = None) -> Image:
    """[height, width, C]; where resizing is the last step, it is written into `out`, and that returned."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    if resize == "letterbox":
        return _letterbox(image, height, width)
    part = _centre_crop(image, height, width) if resize == "crop" else image
    return _resize(part, height, width, out)


def with_channels(image: Image, channels: int) -> Image:
    """A uint8 [H, W, 3] or [H, W, 1] picture as [H, W, channels]; the very same where it has so many.

    Grey is luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601-7, section 2.5.1), in OpenCV's whole numbers and rounding;
    red, green and blue that are equal are that grey. Colour of grey is the same value three times.
    """
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    import cv2

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None]


@lru_cache
def part_seen(have_height: int, have_width: int, height: int, width: int, resize: str) -> Part:
    """Which part of a picture [have_height, have_width] the pixels that `fit` makes of it stand for.

    With letterbox it reaches beyond the picture on two sides, where the border is. Raises UsageError for another rule.
    """
    check_rule(resize)
    if (have_height, have_width) == (height, width) or resize == "stretch":
        return Part(0, 0, have_height, have_width)
    wider = have_width * height > have_height * width
    part_height, part_width = have_height, have_width
    if wider == (resize == "crop"):
        part_width = _scaled(have_height, width, height)
    else:
        part_height = _scaled(have_width, height, width)
    return Part((have_height - part_height) // 2, (have_width - part_width) // 2, part_height, part_width)


def _centre_crop(image: Image, height: int, width: int) -> Image:
    """The largest centred part of `image` with the aspect height : width, to the nearest pixel."""
    part = part_seen(image.shape[0], image.shape[1], height, width, "crop")
    return image[part.top : part.top + part.height, part.left : part.left + part.width]


def _letterbox(image: Image, height: int, width: int) -> Image:
    have_height, have_width = image.shape[:2]
    inner_height, inner_width = height, width
    if have_width * height > have_height * width:
        inner_height = _scaled(have_height, width, have_width)
    else:
        inner_width = _scaled(have_width, height, have_height)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    boxed = np.full((height, width, image.shape[2]), PAD, np.uint8)
    boxed[top : top + inner_height, left : left + inner_width] = _resize(image, inner_height, inner_width)
    return boxed


def _scaled(length: int, to: int, of: int) -> int:
    """length * to / of to the nearest integer (halves up), at least 1; whole numbers, so the same everywhere."""
    return max(1, (2 * length * to + of) // (2 * of))


def _resize(image: Image, height: int, width: int, out: Image | None = None) -> Image:
    import cv2

    resized: NDArray[Any] = image
    for size, how in _stages(image.shape[0], image.shape[1], height, width):
        into = out if size == (width, height) else None
        resized = cv2.resize(resized, size, dst=into, interpolation=how)
    if resized is out:
        return resized
    return np.ascontiguousarray(resized, np.uint8).reshape(height, width, image.shape[2])  # OpenCV drops an axis of 1


@lru_cache  # a camera's sizes are the same, frame by frame
def _stages(have_height: int, have_width: int, height: int, width: int) -> tuple[tuple[tuple[int, int], int], ...]:
    """How a picture comes from one size to another: (width, height) and cv2's word for the way there."""
    import cv2

    have, to = (have_width, have_height), (width, height)
    sides = list(zip(have, to, strict=True))
    stages = []
    in_whole_pixels = all(length % wanted == 0 for length, wanted in sides)
    if not in_whole_pixels and all(length % 2 == 0 and length >= 2 * wanted for length, wanted in sides):
        have = have_width // 2, have_height // 2
        stages.append((have, cv2.INTER_AREA))
        if all(length < 3 * wanted for length, wanted in sides):
            return *stages, (to, cv2.INTER_LINEAR_EXACT)
    shrunk = min(have[0], width), min(have[1], height)
    if shrunk != have:
        stages.append((shrunk, cv2.INTER_AREA))
    return (*stages, (to, cv2.INTER_LINEAR_EXACT)) if shrunk != to else tuple(stages)
