"""`edgecnn train` in processes that can be killed, without waiting seconds for torch each time.

A server imports everything once and touches nothing; each run is a fork of it. Run as a script, it is that server: a
JSON line {arguments, folder, output, environments, after} in, {codes, seconds} out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a run ended: an exit code for each process (-9 where it was killed), what it said, how long it took."""

    codes: tuple[int, ...]
    said: str
    seconds: float


class Forks:
    """The client."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def run(
        self,
        arguments: Sequence[object],
        folder: Path,
        *,
        signal_after: float | None = None,
        once_there_is: str = "",
        number: int = signal.SIGKILL,
        environments: Sequence[Mapping[str, str]] = ({},),
    ) -> Ended:
        """Run the command line in `folder`, once an environment, side by side.

        A signal goes to all of them after some seconds, counted from when there is a certain file in `folder`.
        """
        output = folder / "output.txt"
        asked = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "output": str(output),
            "environments": [dict(environment) for environment in environments],
            "after": signal_after,
            "file": once_there_is,
            "number": number,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(asked), file=self._server.stdin, flush=True)
        answer = json.loads(self._server.stdout.readline())
        return Ended(tuple(answer["codes"]), output.read_text(), answer["seconds"])


@contextmanager
def forks(first: str = "") -> Iterator[Forks]:
    """A server, as long as the block runs; `first` is Python that it runs at its start, to plant a fault."""
    command = [sys.executable, "-c", f"{first}\nfrom tests.train.forks import serve; serve()"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Forks(server)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(30)


def serve() -> None:
    """Answer lines until there are no more."""

    import edgecnn.cli.progress
    import edgecnn.cli.show_models
    import edgecnn.train.choice
    import edgecnn.train.loop
    import edgecnn.verbs.train  # noqa: F401
    from edgecnn import plots

    with tempfile.TemporaryDirectory() as folder:  # what matplotlib looks for at its first picture, it finds now
        plots.confusion(np.ones((2, 2), np.int64), "ab", Path(folder, "x.png"))

    for line in sys.stdin:
        asked = json.loads(line)
        started = time.monotonic()
        children = [_fork(asked, environment) for environment in asked["environments"]]
        codes = _wait(children, asked)
        print(json.dumps({"codes": codes, "seconds": time.monotonic() - started}), flush=True)


def _fork(asked: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    child = os.fork()
    if child:
        return child
    os.chdir(asked["folder"])
    os.environ.update(environment)
    log = os.open(asked["output"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    code = 1
    try:
        from edgecnn.cli import main

        main(asked["arguments"])
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(children: Sequence[int], asked: Mapping[str, Any]) -> list[int]:
    codes: dict[int, int] = {}
    after, started = asked["after"], time.monotonic()
    file = Path(asked["folder"], asked["file"])
    while len(codes) < len(children):
        if not file.exists():
            started = time.monotonic()
        for child in set(children) - set(codes):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
        if after is not None and time.monotonic() - started > after:
            for child in set(children) - set(codes):
                os.kill(child, asked["number"])
            after = None
        time.sleep(0.002)
    return [codes[child] for child in children]
