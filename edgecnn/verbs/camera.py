"""`edgecnn camera`: a live classifier on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgecnn.edge.camera.figures import Summary
from edgecnn.edge.camera.live import Result
from edgecnn.edge.camera.session import Options, Session
from edgecnn.verbs.folders import find_artifact, find_export


def camera(
    model: Path | str | None = None,
    options: Options | None = None,
    *,
    result: Callable[[Result], None] = lambda result: None,
    message: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Classify what a source shows, until it ends or somebody ends it; `result` is handed each answer.

    model: an artifact, a run, an export or a packaged model's name; without one, the newest run's newest export.
    Raises UsageError for what makes no sense, UnusableFile for a model, file or folder that can't be used, DeviceError
    for a camera that can't be opened.
    """
    if model is None:
        model = find_export(None)
        message(f"export {model}")
    return Session(find_artifact(model), options or Options(), result, message).run()
