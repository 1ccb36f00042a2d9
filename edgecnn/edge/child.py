"""Work on a file of unknown origin, in a process of its own: what kills or hangs an engine there ends in one sentence.

A function that takes and returns what JSON can say is called by its name in a fresh interpreter; the request goes in
on stdin, the answer comes back in a file that nothing else writes to. Nothing is pickled: a process that a hostile file
has taken over can only send text.

Time is counted between signs of life (`alive`): a broken file is given up soon, and an evaluation takes the hours that
it needs. Memory is bounded by the file's size: a file of a kilobyte that asks for a hundred gigabytes gets an error
instead of the machine's last page.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import errors
from edgecnn.edge.machine import free_memory
from edgecnn.edge.runtimes import find_runtime
from edgecnn.errors import EdgecnnError, UnusableFile

if TYPE_CHECKING:
    import subprocess

Work = Callable[[Mapping[str, Any]], Any]
"""A function of a module, by whose name a child finds it."""
STARTUP = 60.0
"""Seconds that a fresh interpreter may take to import what the work is written in, on a slow and busy machine."""
MEMORY = 2 << 30
"""Bytes that the work may take beside those in proportion to its file: engines, pictures, what lies between layers."""
MEMORY_PER_BYTE = 16
"""Of the file: weights are unpacked to 4 bytes and held up to four times while they are packed for a kernel."""
FREE_SHARE = 0.75
"""Of the memory that is free, at most."""

_pulse: int | None = None
"""In a child: the file descriptor that signs of life are written to."""


def in_child(
    work: Work,
    request: Mapping[str, Any],
    path: Path,
    seconds: float,
    *,
    size: int | None = None,
    runtime: str | None = None,
) -> Any:
    """What `work(request)` returns, computed in a fresh process.

    path: the file that is worked on, for messages. size: its bytes, those of its companions included, by which memory
    is bounded; None sets no bound. runtime: an engine whose library is imported before time is counted. Raises the
    EdgecnnError that the work raised, and UnusableFile where the process died of the file, or gave no sign of life for
    `seconds`.
    """
    order = {
        "work": f"{work.__module__}:{work.__qualname__}",
        "request": request,
        "memory": None if size is None else MEMORY + MEMORY_PER_BYTE * size,
        "runtime": runtime,
    }
    import subprocess  # here, and the next: a process that runs a model needs neither, and they take memory
    import tempfile

    read, write = os.pipe()
    with os.fdopen(read, "rb") as pulse, tempfile.TemporaryFile() as answers, tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                command("call", str(answers.fileno()), str(write)),
                stdin=subprocess.PIPE,
                stdout=complaints,
                stderr=complaints,
                pass_fds=[answers.fileno(), write],
                env=environment(),
            )
        finally:
            os.close(write)
        try:
            _hand_over(process, order)
            _wait(process, pulse.fileno(), seconds)
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


def alive() -> None:
    """A sign of life from the work to its parent, who then waits anew; nothing outside a child."""
    if _pulse is not None:
        os.write(_pulse, b".")


def _hand_over(process: subprocess.Popen[bytes], order: Mapping[str, Any]) -> None:
    assert process.stdin is not None, "it is a pipe"
    with contextlib.suppress(BrokenPipeError):  # it died before it read; its exit code says of what
        process.stdin.write(json.dumps(order).encode())
        process.stdin.close()


def _wait(process: subprocess.Popen[bytes], pulse: int, seconds: float) -> None:
    """Until the process ends; subprocess.TimeoutExpired where it gives no sign of life for so long."""
    patience = STARTUP
    while select.select([pulse], [], [], patience)[0]:
        if not os.read(pulse, 4096):
            process.wait(seconds)
            return
        patience = seconds
    import subprocess

    raise subprocess.TimeoutExpired(process.args, patience)


def call(descriptor: int, pulse: int) -> None:
    """The child's side: the order on stdin, the answer on a file descriptor, signs of life on another."""
    global _pulse
    _pulse = pulse
    order = json.load(sys.stdin)
    module, _, function = order["work"].partition(":")
    work, request = getattr(importlib.import_module(module), function), order["request"]
    if order["runtime"] is not None:
        find_runtime(order["runtime"]).version()
    if order["memory"] is not None:
        _bound(order["memory"])
    alive()
    answer = attempt(lambda: work(request), request)
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
    except ModuleNotFoundError as error:
        return {"missing": error.name}
    except MemoryError:
        return {"error": "UnusableFile", "message": f"{request.get('path', 'the file')}: asks for too much memory"}


def _bound(memory: int) -> None:
    """Let allocations fail beyond so many bytes, or most of what is free now. Shared libraries don't count."""
    import resource

    with contextlib.suppress(OSError, ValueError):  # a lower limit that somebody else has set stays
        bound = int(min(memory, FREE_SHARE * free_memory()))
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def answered(found: Mapping[str, Any]) -> Any:
    """The parent's side of `attempt`: the answer, or the error, raised."""
    if "missing" in found:
        raise ModuleNotFoundError(f"no module named '{found['missing']}'", name=found["missing"])
    if "error" not in found:
        return found["answer"]
    raise told_error(str(found["error"]), str(found["message"]))


def told_error(kind: str, message: str) -> EdgecnnError:
    """The error of ours that another process told of, by its class's name."""
    known = getattr(errors, kind, UnusableFile)
    error: EdgecnnError = known.__new__(known)
    Exception.__init__(error, message)
    return error


def death(path: Path, code: int, said: bytes) -> UnusableFile:
    """The sentence about a file that a process died of: its exit code, and what it wrote on stderr."""
    return UnusableFile(f"{path}: can't be used, an engine died of it ({_cause(code, said)})")


def _cause(code: int, said: bytes) -> str:
    if code < 0:
        return signal.Signals(-code).name
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"
