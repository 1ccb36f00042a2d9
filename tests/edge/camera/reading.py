"""Reading a source to its bad end."""

from __future__ import annotations

import pytest

from edgecnn.edge.camera.frames import Captured
from edgecnn.edge.camera.sources import Source


def read_until(source: Source, error: type[Exception]) -> tuple[list[Captured], str]:
    """The frames that came before an error, and what it said; a test fails where the source ends without."""
    frames = []
    try:
        for frame in source:
            frames.append(frame)
    except error as caught:
        return frames, str(caught)
    pytest.fail("the source ended without an error")
