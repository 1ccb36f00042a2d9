"""The coordinator's side of a device's readings: a process over there answers with what its sensors say."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from edgecnn.edge.child import command, environment
from edgecnn.edge.measure.readings import PATIENCE_S, Readings, Sensor
from edgecnn.errors import DeviceError
from edgecnn.records import from_json, to_json

Start = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts what `python -m edgecnn.edge` can be asked to do, by its words, with pipes for stdin and stdout."""
STARTING_S = 120.0
"""Python has to start over there first."""
ANSWERING_S = PATIENCE_S + 20.0
"""A reading takes what its commands may take; the rest is for the way there and back."""


@dataclass(frozen=True)
class Limits:
    """What a device must keep to while it is measured; None where nobody knows.

    clock_mhz: the nominal clock. Without it, the highest clock of the measurement is what others are held against.
    """

    throttles_at_c: float | None = None
    clock_mhz: float | None = None


@dataclass(frozen=True)
class Watching:
    """How a device is watched while it is measured: its profile's sensors, by the names of `Readings`, and limits."""

    sensors: Mapping[str, Sensor] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


class Watch(Protocol):
    """What says how the device is."""

    def read(self) -> Readings:
        """Its readings now; DeviceError where it does not answer."""


def start_here(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start it on this machine."""
    return subprocess.Popen(
        command(*words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
        bufsize=0,
    )


class Monitor:
    """A process on the device that reads its sensors when it is asked."""

    def __init__(self, sensors: Mapping[str, Sensor], start: Start = start_here) -> None:
        self._process = start(["watch"])
        self._unread = b""
        try:
            self._ask({"do": "use", "sensors": to_json(sensors)}, STARTING_S)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None, "both are the start's promise"
            pipe.close()

    def read(self) -> Readings:
        """The device's readings now; DeviceError where it does not answer."""
        return from_json(Readings, self._ask({"do": "read"}, ANSWERING_S))

    def _ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        assert self._process.stdin is not None, "it is the start's promise"
        deadline = time.monotonic() + seconds
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError as error:
            raise self._gone() from error
        while b"\n" not in self._unread:
            self._more(deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return json.loads(line)["answer"]
        except (ValueError, KeyError, TypeError) as error:
            raise DeviceError(
                f"what reads the device's sensors answered {line[:80]!r}, which is no answer; measure again"
            ) from error

    def _more(self, deadline: float) -> None:
        """Wait for more of an answer."""
        assert self._process.stdout is not None, "it is the start's promise"
        descriptor, left = self._process.stdout.fileno(), deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise DeviceError(
                "what reads the device's sensors gives no answer: see whether the device still does, and measure again"
            )
        part = os.read(descriptor, 1 << 16)
        if not part:
            raise self._gone()
        self._unread += part

    def _gone(self) -> DeviceError:
        code = self._process.wait()
        return DeviceError(
            f"what reads the device's sensors ended while it was needed (exit code {code}): see whether the device "
            "still answers, and measure again"
        )
