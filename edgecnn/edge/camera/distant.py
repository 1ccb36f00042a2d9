"""`python -m edgecnn.edge camera`: a session whose person sits at another machine.

A request is one line of JSON on stdin, an `Order`; answers are lines of JSON on stdout, each with one key:

    {"say": TEXT}, {"result": Result}, and at the end {"summary": Summary} or {"error": KIND, "message": TEXT}

When stdin ends (the person left, the link is cut), the session ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.edge.camera.live import Result
from edgecnn.edge.camera.session import Options, Session
from edgecnn.edge.camera.telling import Tell
from edgecnn.errors import EdgecnnError
from edgecnn.records import from_json, to_json

ENDING_S = 5.0
"""After stdin has ended, for putting things in order."""


@dataclass(frozen=True)
class Order:
    """What is asked for: an artifact's folder over here, options, and whether each result is to be told."""

    artifact: str
    options: Options
    tell_results: bool


def serve() -> None:
    """Run a session."""
    out = Tell()

    def tell(**message: Any) -> None:
        with suppress(BrokenPipeError):  # nobody listens any more; stdin's end ends the session
            out.line(message)

    def result(found: Result) -> None:
        tell(result=to_json(found))

    def nothing(found: Result) -> None:
        """Nobody wants to hear it."""

    try:
        order = from_json(Order, json.loads(sys.stdin.buffer.readline()))
        told = result if order.tell_results else nothing
        session = Session(Path(order.artifact), order.options, told, lambda text: tell(say=text))
        threading.Thread(target=_leave_with_stdin, args=(session,), daemon=True, name="leave-with-stdin").start()
        tell(summary=to_json(session.run()))
    except EdgecnnError as error:
        tell(error=type(error).__name__, message=str(error))


def _leave_with_stdin(session: Session) -> None:
    """End the session with stdin; the process too, should the session hang."""
    while os.read(0, 1):
        pass
    session.close()
    timer = threading.Timer(ENDING_S, os._exit, (1,))
    timer.daemon = True
    timer.start()
