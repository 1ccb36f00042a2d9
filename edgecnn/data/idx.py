"""IDX files, in which MNIST and its relatives lie: big-endian sizes, then bytes; plain or gzipped.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "file formats": two zero
bytes, the type (8: unsigned byte), the number of axes, a 32-bit size for each, the values row by row.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.pictures import Pictures
from edgecnn.data.places import search_dirs
from edgecnn.data.sources import Archive
from edgecnn.errors import UnusableFile

PREFIXES = {"train": "train", "test": "t10k"}
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
BYTES = 0x08
"""The type that is read: unsigned bytes."""
SIDE = 28
DEBIAN = Path("/usr/share/datasets")
"""Where Debian's packages put theirs."""
MOST = 2**30
"""Values in a file that is read: beyond, its header is more likely damaged than meant."""


@dataclass(frozen=True)
class IdxSource:
    """A data set of 28x28 grey pictures in four IDX files, which the readers of MNIST read.

    folders: how the folder that holds them is called below a folder of data sets. packaged: whether
    Debian has it as a package.
    """

    name: str
    summary: str
    labels: tuple[str, ...]
    folders: tuple[str, ...]
    how_to_get: str
    packaged: bool = False
    archive: Archive | None = None

    def locate(self, data_dir: Path | None) -> Path | None:
        """One of `folders` below each folder that is searched, or that itself where it is called so."""
        return find(self.folders, (*search_dirs(data_dir), *([DEBIAN] if self.packaged else [])))

    def read(self, folder: Path, part: str) -> Pictures:
        """images uint8 [N, 28, 28, 1]; UnusableFile when a file is missing, cut or damaged."""
        return read_part(folder, part, SIDE, len(self.labels), f"to get them anew: {self.how_to_get}")


def find(names: Sequence[str], folders: Iterable[Path]) -> Path | None:
    """The first folder called by one of `names`, below one of `folders` or itself one of them, with training pictures.

    The files of MNIST and its relatives are called the same: only their folder's name says which they are.
    """
    for folder in folders:
        itself = [folder for name in names if folder.absolute().as_posix().endswith(f"/{name}")]
        for place in (*(folder / name for name in names), *itself):
            if _found(place, f"{PREFIXES['train']}-{IMAGES}").is_file():
                return place
    return None


def read_part(folder: Path, part: str, side: int, classes: int, advice: str) -> Pictures:
    """The pictures of "train" or "test": images uint8 [N, side, side, 1]; their names are "train/<number>".

    Raises UnusableFile, which ends in `advice`, for a file that is missing, damaged, cut, or of another kind or size.
    """
    pictures, answers = (_found(folder, f"{PREFIXES[part]}-{kind}") for kind in (IMAGES, LABELS))
    images, labels = _read(pictures, 3, advice), _read(answers, 1, advice)
    if images.shape[1:] != (side, side):
        raise UnusableFile(f"{pictures}: expected pictures of {side}x{side}, got {_sizes(images.shape[1:])}; {advice}")
    if len(images) != len(labels):
        raise UnusableFile(f"{answers}: has {len(labels):,} labels for {len(images):,} pictures; {advice}")
    if labels.max() >= classes:
        raise UnusableFile(f"{answers}: expected classes 0 to {classes - 1}, got {labels.max()}; {advice}")
    names = tuple(f"{part}/{number}" for number in range(len(images)))
    return Pictures(images[..., None], labels.astype(np.int64), names)


def _found(folder: Path, name: str) -> Path:
    """The file, plain or gzipped; the plain one's path where there is neither."""
    gzipped = folder / f"{name}.gz"
    return gzipped if gzipped.is_file() and not (folder / name).is_file() else folder / name


def _read(path: Path, axes: int, advice: str) -> NDArray[np.uint8]:
    """The array of bytes that a file holds, not writable."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * axes)
            shape = _shape(path, header, axes, advice)
            content = file.read(math.prod(shape) + 1)  # one more than there should be
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UnusableFile(f"{path}: is damaged or cut off ({error}); {advice}") from error
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror}); {advice}") from error
    if len(content) != math.prod(shape):
        got = "more" if len(content) > math.prod(shape) else f"{len(content):,}"
        raise UnusableFile(f"{path}: expected {math.prod(shape):,} bytes after its header, got {got}; {advice}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, axes: int, advice: str) -> tuple[int, ...]:
    magic = bytes((0, 0, BYTES, axes))
    if header[:4] != magic:
        raise UnusableFile(
            f"{path}: is no IDX file of bytes with {axes} axes: it begins with {header[:4].hex() or 'nothing'}, not "
            f"{magic.hex()}; {advice}"
        )
    if len(header) < 4 + 4 * axes:
        raise UnusableFile(f"{path}: is cut off within its header; {advice}")
    shape = struct.unpack(f">{axes}I", header[4:])
    if not 0 < math.prod(shape) <= MOST:
        raise UnusableFile(f"{path}: its header claims {_sizes(shape)} values; {advice}")
    return shape


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
