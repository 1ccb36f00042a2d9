"""Where measuring processes run: on this machine, or on a device."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from edgecnn.edge.child import command, environment
from edgecnn.errors import MissingExtra

TOGETHER = 12


class Place(Protocol):
    """A machine on which `python -m edgecnn.edge` can be started."""

    def start(self, words: Sequence[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start it with these words; stdin and stdout are unbuffered pipes, stderr goes to `complaints`."""

    def together(self) -> int:
        """How many processes with a model each may be open there at once."""

    def path_there(self, path: Path) -> str:
        """What a file of this machine's is called there."""

    def check(self, code: int, said: bytes) -> None:
        """DeviceError where a process ended (with this code, saying this) because the machine can't be reached."""

    def lacks(self, runtime: str, error: MissingExtra) -> MissingExtra:
        """The error for an engine that is not installed there, with what installs it there."""


class Here:
    """This machine."""

    def start(self, words: Sequence[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        """A process of this Python's."""
        return subprocess.Popen(
            command(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment(),
            bufsize=0,
        )

    def together(self) -> int:
        """As many as take turns in a time that a person waits."""
        return TOGETHER

    def path_there(self, path: Path) -> str:
        """The same."""
        return str(path)

    def check(self, code: int, said: bytes) -> None:
        """It is always reached."""

    def lacks(self, runtime: str, error: MissingExtra) -> MissingExtra:
        """The error knows."""
        return error


HERE = Here()
