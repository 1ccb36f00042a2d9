"""A child of the camera's: started with a request, heard line by line, killed without waiting for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from edgecnn.edge.camera.slot import Ends
from edgecnn.edge.child import command, environment
from edgecnn.records import to_json

READ = 1 << 16
KEPT = 2000
"""Characters of its stderr that are kept, the last ones: for the sentence about its death."""


class Process:
    """A process that does `word` of edgecnn.edge: its lines of JSON on stdout, in a session of its own so that a Ctrl-C
    is only its parent's.
    """

    def __init__(self, word: str, request: Any, ends: Ends) -> None:
        self._popen = subprocess.Popen(
            command(word),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=ends.all(),
            env=environment(),
            start_new_session=True,
        )
        self._rest, self._said = b"", ""
        for pipe in (self.stdout, self.stderr):
            os.set_blocking(pipe, False)
        assert self._popen.stdin is not None, "it is a pipe"
        with suppress(BrokenPipeError):  # it died at once; reading tells
            self._popen.stdin.write(json.dumps(to_json(request)).encode() + b"\n")
            self._popen.stdin.flush()

    @property
    def pid(self) -> int:
        """The process's."""
        return self._popen.pid

    @property
    def stdout(self) -> int:
        """The file descriptor of its answers, to wait on."""
        assert self._popen.stdout is not None, "it is a pipe"
        return self._popen.stdout.fileno()

    @property
    def stderr(self) -> int:
        """The file descriptor of what libraries complain about, to wait on."""
        assert self._popen.stderr is not None, "it is a pipe"
        return self._popen.stderr.fileno()

    def lines(self) -> tuple[list[Mapping[str, Any]], bool]:
        """What it has said since last time, and whether it will say no more."""
        over = False
        while True:
            try:
                read = os.read(self.stdout, READ)
            except BlockingIOError:
                break
            if not read:
                over = True
                break
            self._rest += read
        *whole, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in whole if line], over

    def listen(self) -> bool:
        """Take in its complaints; False where there will be no more."""
        try:
            read = os.read(self.stderr, READ)
        except BlockingIOError:
            return True
        self._said = (self._said + read.decode(errors="replace"))[-KEPT:]
        return bool(read)

    def death(self) -> str:
        """What it died of, for people; after `lines` has said that it is over."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(1.0)
        self.listen()
        code = self._popen.returncode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        lines = self._said.strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {code}"

    def end(self) -> None:
        """Kill it; one that hangs in the kernel is left to it."""
        self._popen.kill()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(0.5)
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
