"""What models are run on: the shape and type that they declare, and nothing guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.measure.inputs import filled, fixed_shape
from edgecnn.edge.runtimes import Port
from edgecnn.errors import UnusableFile, UsageError

FILE = Path("net.onnx")


@pytest.mark.parametrize(
    ("declared", "size", "shape"),
    [
        ((1, 32, 32, 3), None, (1, 32, 32, 3)),
        ((0, 32, 32, 3), None, (1, 32, 32, 3)),
        ((0, 3, 32, 32), (96, 64), (1, 3, 32, 32)),
        ((0, 0, 0, 3), (96, 64), (1, 96, 64, 3)),
        ((0, 3, 0, 0), (96, 64), (1, 3, 96, 64)),
        ((0, 0, 0, 0), (96, 64), (1, 96, 64, 3)),
        ((8, 3, 0, 0), (96, 64), (8, 3, 96, 64)),
        ((0, 10), None, (1, 10)),
        ((), None, ()),
    ],
)
def test_shapes(declared: tuple[int, ...], size: tuple[int, int] | None, shape: tuple[int, ...]) -> None:
    assert fixed_shape(Port("x", declared, "float32"), size, FILE) == shape


@pytest.mark.parametrize(
    ("declared", "size", "said"), [((0, 3, 0, 0), None, "?x3x?x?"), ((0, 0), None, "?x?"), ((0, 0), (32, 32), "?x?")]
)
def test_open_sizes_are_not_guessed(declared: tuple[int, ...], size: tuple[int, int] | None, said: str) -> None:
    with pytest.raises(UsageError) as error:
        fixed_shape(Port("x", declared, "float32"), size, FILE)
    assert f"({said})" in str(error.value)
    assert "--input-size" in str(error.value)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32", "float16", "float64", "int32", "int64", "bool"])
def test_types(dtype: str) -> None:
    (made,) = filled([Port("x", (1, 16, 16, 3), dtype)], None, FILE)
    assert (made.dtype, made.shape) == (np.dtype(dtype), (1, 16, 16, 3))
    assert made.flags.c_contiguous
    if made.dtype.kind == "f":
        assert (float(made.min()), float(made.max())) == (0.0, 1.0)
    elif made.dtype.itemsize == 1 and made.dtype.kind in "ui":
        assert len(np.unique(made)) == 256
    else:
        assert not made.any(), "numbers may be places of something"


def test_what_cannot_be_filled_is_the_files_fault() -> None:
    with pytest.raises(UnusableFile, match="takes string"):
        filled([Port("x", (1,), "string")], None, FILE)
    with pytest.raises(UnusableFile, match="GiB"):
        filled([Port("x", (1, 1 << 20, 1 << 20), "uint8")], None, FILE)
