"""Margins and output sizes against a table worked out by hand, TensorFlow's formula, and torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from edgecnn.geometry import Margins, margins_of, output_size, same_margins

# size, window, stride -> margin before, margin after, output: from tensorflow.org/api_docs/python/tf/nn
WORKED = [
    (32, 3, 1, 1, 1, 32),
    (32, 3, 2, 0, 1, 16),
    (33, 3, 2, 1, 1, 17),
    (31, 3, 2, 1, 1, 16),
    (224, 7, 2, 2, 3, 112),
    (224, 3, 2, 0, 1, 112),
    (13, 6, 5, 1, 2, 3),  # the documentation's own example has 1 and 2 here
    (5, 2, 2, 0, 1, 3),
    (4, 2, 2, 0, 0, 2),
    (5, 1, 3, 0, 0, 2),
    (2, 7, 1, 3, 3, 2),
    (2, 7, 3, 2, 3, 1),
    (1, 4, 1, 1, 2, 1),
    (7, 3, 3, 1, 1, 3),
]


@pytest.mark.parametrize(("size", "window", "stride", "before", "after", "output"), WORKED)
def test_same(size: int, window: int, stride: int, before: int, after: int, output: int) -> None:
    """Rows and columns by themselves: the other axis is another case."""
    rows = same_margins((size, 8), (window, 1), (stride, 1))
    assert rows == Margins(before, after, 0, 0)
    columns = same_margins((8, size), (1, window), (1, stride))
    assert columns == Margins(0, 0, before, after)
    assert output_size((size, 8), (window, 1), (stride, 1), rows) == (output, 8)


@given(st.integers(1, 64), st.integers(1, 9), st.integers(1, 5))
def test_same_is_the_case_distinction_of_the_documentation(size: int, window: int, stride: int) -> None:
    """`if in % stride == 0: max(k - stride, 0) else max(k - in % stride, 0)`; the half rounded down comes first."""
    total = max(window - stride, 0) if size % stride == 0 else max(window - size % stride, 0)
    margins = same_margins((size, size), (window, window), (stride, stride))
    assert margins == Margins(total // 2, total - total // 2, total // 2, total - total // 2)
    assert output_size((size, size), (window, window), (stride, stride), margins)[0] == -(-size // stride)


def test_the_forms_of_padding() -> None:
    assert margins_of("same", (32, 33), (3, 3), (2, 2)) == Margins(0, 1, 1, 1)
    assert margins_of("valid", (32, 33), (3, 3), (2, 2)) == Margins(0, 0, 0, 0)
    assert margins_of((1, 2), (32, 33), (3, 3), (2, 2)) == Margins(1, 1, 2, 2)


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.builds(Margins, *[st.integers(0, 3)] * 4),
)
def test_output_size_is_torch_s(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], margins: Margins
) -> None:
    found = output_size(size, kernel, stride, margins)
    padded = functional.pad(torch.zeros(1, 1, *size), (margins.left, margins.right, margins.top, margins.bottom))
    if min(found) < 1:
        with pytest.raises(RuntimeError):
            functional.conv2d(padded, torch.zeros(1, 1, *kernel), stride=stride)
    else:
        assert tuple(functional.conv2d(padded, torch.zeros(1, 1, *kernel), stride=stride).shape[2:]) == found
