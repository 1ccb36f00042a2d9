"""Waiting for another process to come round."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether something comes true; a process over there may need a moment to see that its link is gone."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
