"""Export's quick look at each int8 file: rounding passes, the answers of a wrong file don't."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecnn.errors import EdgecnnError
from edgecnn.verbs.artifacts import check_claims

EXPECTED = np.random.default_rng(0).integers(20, 220, (8, 10)).astype(np.uint8)


def answering(raw: np.ndarray) -> Any:
    """As much of an Artifact as is looked at."""
    manifest = SimpleNamespace(target="tflite", precision="int8", output=SimpleNamespace(scale=0.1))
    return SimpleNamespace(manifest=manifest, raw=lambda images: raw)


def test_some_steps_of_rounding_pass() -> None:
    moved = (EXPECTED + np.random.default_rng(1).integers(-4, 5, EXPECTED.shape)).astype(np.uint8)
    assert check_claims(answering(moved), EXPECTED, EXPECTED) is moved


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (np.roll(EXPECTED, 1, axis=1), "lie far from the reference's"),  # classes in another order
        (np.roll(EXPECTED, 1, axis=0), "lie far from the reference's"),  # another picture's
        (EXPECTED ^ np.uint8(128), "lie far from the reference's"),  # int8 told to be uint8
        (EXPECTED.view(np.int8), "gives int8"),
        (EXPECTED[:, :9], r"gives uint8 \[8, 9\]"),
    ],
)
def test_a_wrong_file_is_refused(raw: np.ndarray, said: str) -> None:
    with pytest.raises(EdgecnnError, match=said):
        check_claims(answering(raw), EXPECTED, EXPECTED)
