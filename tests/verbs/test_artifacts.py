"""Export's quick look at each int8 file: rounding passes, the answers of a wrong file don't."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecnn.edge.artifact import Artifact, ClassOutput
from edgecnn.errors import EdgecnnError
from edgecnn.graph.edit import Array
from edgecnn.verbs.artifacts import check_claims

EXPECTED = np.random.default_rng(0).integers(20, 220, (8, 10)).astype(np.uint8)


def answering(raw: Array, dtype: str = "uint8") -> Artifact:
    """An artifact of these answers."""
    output = ClassOutput("logits", "logits", dtype, 0.1, 128)
    manifest: Any = SimpleNamespace(target="tflite", precision="int8", output=output)
    rows = iter(np.split(raw, len(raw)))
    session: Any = SimpleNamespace(run=lambda images: next(rows))
    return Artifact(Path(), manifest, session)


def test_some_steps_of_rounding_pass() -> None:
    moved = (EXPECTED + np.random.default_rng(1).integers(-4, 5, EXPECTED.shape)).astype(np.uint8)
    assert np.array_equal(check_claims(answering(moved), EXPECTED, EXPECTED), moved)


def test_floats_lie_on_the_grid() -> None:
    floats = (EXPECTED.astype(np.float32) - 128) * np.float32(0.1)
    assert check_claims(answering(floats, "float32"), EXPECTED, EXPECTED).dtype == np.float32
    with pytest.raises(EdgecnnError, match="lie beside their grid"):
        check_claims(answering(floats * np.float32(1.002), "float32"), EXPECTED, EXPECTED)


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
def test_a_wrong_file_is_refused(raw: Array, said: str) -> None:
    with pytest.raises(EdgecnnError, match=said):
        check_claims(answering(raw), EXPECTED, EXPECTED)
