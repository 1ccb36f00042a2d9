"""The child's side of the camera's processes: lines of JSON on what was stdout; an end with whoever started it."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from typing import Any

from edgecnn.edge.camera.live import Result
from edgecnn.records import to_json


@dataclass(frozen=True)
class Event:
    """What happened. `opened`: text describes the source; `skipped`, `failed`: the reason, with the error's class."""

    event: str
    text: str = ""
    live: bool = False
    error: str = ""


class Tell:
    """Lines of JSON on what was stdout, from any thread; what libraries print goes to stderr."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._one = threading.Lock()
        os.dup2(2, 1)

    def __call__(self, record: Event | Result) -> None:
        """A record."""
        self.line(to_json(record))

    def line(self, message: Any) -> None:
        """What JSON can say."""
        with self._one:
            self._file.write(json.dumps(message) + "\n")
            self._file.flush()


def end_with(stdin: Any) -> None:
    """Let this process end as soon as `stdin` does: whoever started it is gone."""

    def wait() -> None:
        while stdin.read(1):
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True, name="end-with-stdin").start()
