"""The kernels are compiled by the C++ compiler of the machine."""

from __future__ import annotations

import os

import pytest

from edgecnn.train.compilers import WANTED, cxx


@pytest.fixture(autouse=True)
def _compiler() -> None:
    """Without one the test is skipped, with the reason, or fails where CI is set."""
    if cxx() is None:
        pytest.fail(WANTED) if os.environ.get("CI") else pytest.skip(WANTED)
