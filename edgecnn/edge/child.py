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
import sys
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
    import subprocess  # here, and the next: a process that runs a model needs neither, and they take memory
    import tempfile

    name = f"{work.__module__}:{work.__qualname__}"
    with tempfile.TemporaryFile() as answers, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command("call", name, str(answers.fileno())),
            stdin=subprocess.PIPE,
            stdout=complaints,
            stderr=complaints,
            pass_fds=[answers.fileno()],
            env=environment(),
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
        raise death(path, process.returncode, said)
    return answered(json.loads(content))


def command(*words: str) -> list[str]:
    """How a fresh process is started that does what `python -m edgecnn.edge` can be asked to do."""
    return [sys.executable, "-m", "edgecnn.edge", *words]


def environment() -> dict[str, str]:
    """The environment of such a process: it finds what this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def call(name: str, descriptor: int) -> None:
    """The child's side: the request on stdin, the answer on a file descriptor."""
    module, _, function = name.partition(":")
    request = json.load(sys.stdin)
    answer = attempt(lambda: getattr(importlib.import_module(module), function)(request), request)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(answer, file)
        file.flush()
        os.fsync(file.fileno())
    sys.stdout.flush()
    os._exit(0)  # an engine that was given a broken file may not survive its own end


def attempt(work: Callable[[], Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent back: what `work` returns, or what edgecnn has against the file of the request."""
    try:
        return {"answer": work()}
    except EdgecnnError as error:
        return {"error": type(error).__name__, "message": str(error)}
    except MemoryError:
        return {"error": "UnusableFile", "message": f"{request.get('path', 'the file')}: asks for too much memory"}


def answered(found: Mapping[str, Any]) -> Any:
    """The parent's side of `attempt`: the answer, or the error, raised."""
    if "error" not in found:
        return found["answer"]
    kind = getattr(errors, str(found["error"]), UnusableFile)
    error = kind.__new__(kind)
    Exception.__init__(error, str(found["message"]))
    raise error


def death(path: Path, code: int, said: bytes) -> UnusableFile:
    """The sentence about a file that a process died of: its exit code, and what it wrote on stderr."""
    return UnusableFile(f"{path}: can't be used, an engine died of it ({_cause(code, said)})")


def _cause(code: int, said: bytes) -> str:
    if code < 0:
        return signal.Signals(-code).name
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"
