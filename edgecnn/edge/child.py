"""Work on a file of unknown origin, in a process of its own: what kills or hangs an engine there ends in one sentence.

A function that takes and returns what JSON can say is called by its name in a fresh interpreter; the request goes in
on stdin, the answer comes back on a pipe that nothing else writes to. Nothing is pickled: a process that a hostile file
has taken over can only send text.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgecnn import errors
from edgecnn.errors import EdgecnnError, UnusableFile

Work = Callable[[Mapping[str, Any]], Any]
"""A function of a module, by whose name a child finds it."""


def in_child(work: Work, request: Mapping[str, Any], path: Path, seconds: float) -> Any:
    """What `work(request)` returns, computed in a fresh process.

    path: the file that is worked on, for messages. Raises the EdgecnnError that the work raised, and UnusableFile where
    the process died of the file or had not answered after `seconds`.
    """
    name = f"{work.__module__}:{work.__qualname__}"
    with tempfile.TemporaryFile() as answers, tempfile.TemporaryFile() as complaints:
        command = [sys.executable, "-m", "edgecnn.edge", "call", name, str(answers.fileno())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=complaints,
            stderr=complaints,
            pass_fds=[answers.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )
        try:
            process.communicate(json.dumps(request).encode(), timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise UnusableFile(f"{path}: an engine did not get through with it in {seconds:.0f} s") from error
        finally:
            process.kill()
            process.wait()
        answers.seek(0)
        content = answers.read()
        complaints.seek(0)
        said = complaints.read()
    if process.returncode != 0 or not content:
        raise UnusableFile(f"{path}: can't be used, an engine died of it ({_cause(process.returncode, said)})")
    return _answer(json.loads(content))


def call(name: str, descriptor: int) -> None:
    """The child's side: the request on stdin, the answer on a file descriptor."""
    module, _, function = name.partition(":")
    request = json.load(sys.stdin)
    try:
        answer = {"answer": getattr(importlib.import_module(module), function)(request)}
    except EdgecnnError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except MemoryError:
        answer = {"error": "UnusableFile", "message": f"{request.get('path', 'the file')}: asks for too much memory"}
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(answer, file)
        file.flush()
        os.fsync(file.fileno())
    sys.stdout.flush()
    os._exit(0)  # an engine that was given a broken file may not survive its own end


def _answer(found: Mapping[str, Any]) -> Any:
    if "error" not in found:
        return found["answer"]
    kind = getattr(errors, str(found["error"]), UnusableFile)
    error = kind.__new__(kind)
    Exception.__init__(error, str(found["message"]))
    raise error


def _cause(code: int, said: bytes) -> str:
    if code < 0:
        return signal.Signals(-code).name
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"
