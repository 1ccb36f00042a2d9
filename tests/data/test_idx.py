"""IDX files: small ones, plain and gzipped, and every way in which they can be damaged."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from edgecnn.data import idx
from edgecnn.data.pictures import Pictures
from edgecnn.errors import UnusableFile
from tests.data.idx_files import bars, write_part, write_set

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def read(folder: Path, part: str = "train") -> Pictures:
    return idx.read_part(folder, part, 28, 10, "get it anew")


@pytest.mark.parametrize("gz", [False, True])
def test_what_was_written_is_read(gz: bool, tmp_path: Path) -> None:
    for part, seed in (("train", 3), ("test", 4)):
        images, classes = bars(30, seed)
        write_part(tmp_path, part, images, classes, gz)
        found = read(tmp_path, part)
        assert found.images.shape == (30, 28, 28, 1)
        assert np.array_equal(found.images[..., 0], images)
        assert found.classes.tolist() == classes.tolist()
        assert found.names[:2] == (f"{part}/0", f"{part}/1")


def test_a_pixel_lies_row_by_row_after_16_bytes(tmp_path: Path) -> None:
    write_set(tmp_path, gz=False)
    content = (tmp_path / IMAGES).read_bytes()
    assert read(tmp_path).images[7, 5, 9, 0] == content[16 + 7 * 784 + 5 * 28 + 9]


def test_each_part_needs_its_own_files_only(tmp_path: Path) -> None:
    write_set(tmp_path)
    for path in tmp_path.glob("t10k*"):
        path.unlink()
    assert len(read(tmp_path)) == 600
    with pytest.raises(UnusableFile, match=r"t10k-images-idx3-ubyte: can't be read \(No such file.*; get it anew$"):
        read(tmp_path, "test")


HEADER = struct.pack(">IIII", 0x803, 600, 28, 28)


@pytest.mark.parametrize(
    ("name", "start", "said"),
    [
        (IMAGES, b"", "begins with nothing, not 00000803"),
        (IMAGES, b"<!DO", "begins with 3c21444f, not 00000803"),
        (IMAGES, struct.pack(">I", 0x801), "no IDX file of bytes with 3 axes: it begins with 00000801"),
        (IMAGES, struct.pack(">I", 0xD03), "begins with 00000d03"),  # floats
        (LABELS, struct.pack(">I", 0x803), "bytes with 1 axes: it begins with 00000803, not 00000801"),
        (IMAGES, HEADER[:10], "is cut off within its header"),
        (IMAGES, HEADER, "expected 470,400 bytes after its header, got 0"),
        (IMAGES, struct.pack(">IIII", 0x803, 2**32 - 1, 2**32 - 1, 28), "its header claims 4294967295x4294967295x28"),
        (IMAGES, struct.pack(">IIII", 0x803, 0, 28, 28), "its header claims 0x28x28 values"),
        (IMAGES, struct.pack(">IIII", 0x803, 1, 2, 2) + bytes(4), "expected pictures of 28x28, got 2x2"),
        (LABELS, struct.pack(">II", 0x801, 2) + bytes(2), "has 2 labels for 600 pictures"),
        (LABELS, struct.pack(">II", 0x801, 600) + bytes([10] * 600), "expected classes 0 to 9, got 10"),
        (LABELS, struct.pack(">II", 0x801, 600) + bytes(601), "expected 600 bytes after its header, got more"),
    ],
)
@pytest.mark.parametrize("gz", [False, True])
def test_damage_is_one_sentence_about_the_file(name: str, start: bytes, said: str, gz: bool, tmp_path: Path) -> None:
    write_set(tmp_path, gz=gz)
    path = tmp_path / (f"{name}.gz" if gz else name)
    path.write_bytes(gzip.compress(start) if gz else start)
    with pytest.raises(UnusableFile) as raised:
        read(tmp_path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
    assert str(raised.value).endswith("; get it anew")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("left", [0.02, 0.5, 0.999])
def test_a_gzip_file_that_is_cut_off(left: float, tmp_path: Path) -> None:
    path = write_set(tmp_path) / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
    with pytest.raises(UnusableFile, match=r"train-images-idx3-ubyte\.gz: is damaged or cut off"):
        read(tmp_path)


def test_bytes_that_fell_over_in_a_gzip_file(tmp_path: Path) -> None:
    path = write_set(tmp_path) / f"{IMAGES}.gz"
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = read(tmp_path)
        except UnusableFile:
            refused += 1
        else:  # a byte of gzip's own header that means nothing, such as its time
            assert place < 10
            assert len(found) == 600
    assert refused > 50


def test_not_a_gzip_file(tmp_path: Path) -> None:
    path = write_set(tmp_path) / f"{LABELS}.gz"
    path.write_text("<html>not found</html>")
    with pytest.raises(UnusableFile, match="is damaged or cut off"):
        read(tmp_path)


def test_the_folders_name_says_which_set_it_is(tmp_path: Path) -> None:
    names = ("mnist", "MNIST/raw")
    assert idx.find(names, [tmp_path]) is None
    other = write_set(tmp_path / "fashion-mnist")
    assert idx.find(names, [tmp_path, other]) is None, "the same file names, and other pictures"
    raw = write_set(tmp_path / "MNIST/raw")
    assert idx.find(names, [other, tmp_path]) == idx.find(names, [raw]) == raw
    first = write_set(tmp_path / "mnist")
    assert idx.find(names, [tmp_path]) == idx.find(names, [first]) == first
