"""The coordinator's side of a measuring process: requests go down one pipe, answers come up another.

What kills or hangs the process is the model file's fault, and is said in one sentence.
"""

from __future__ import annotations

import json
import math
import os
import select
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgecnn.edge.child import answered, death
from edgecnn.edge.measure.instructions import Instructions
from edgecnn.edge.measure.process import Answers, Engine, Open, Opened, Turn
from edgecnn.errors import DeviceError, MissingExtra, UnusableFile
from edgecnn.measuring.place import HERE, Place
from edgecnn.metrics import Array
from edgecnn.records import from_json, to_json

STARTING_S = 120.0
"""Nothing of the model is looked at yet: whatever takes so long to import is not its fault."""


class Worker:
    """A process that holds one model open, at a place; `path` is the model file, for messages."""

    def __init__(self, path: Path, place: Place = HERE) -> None:
        self._path = path
        self._place = place
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = place.start(["bench"], self._complaints)
        self._unread = b""

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            assert pipe is not None, "all three were made here"
            pipe.close()

    def load_engine(self, runtime: str) -> Engine:
        """Load an engine's library; MissingExtra where it is not installed, DeviceError where it can't be loaded."""
        try:
            return from_json(Engine, self._ask({"do": "load_engine", "runtime": runtime}, STARTING_S))
        except MissingExtra as error:
            raise self._place.lacks(runtime, error) from error
        except UnusableFile as error:
            raise DeviceError(f"{runtime} can't be loaded there: {error}") from error

    def open(self, wanted: Open, seconds: float) -> Opened:
        """Open the model, run and warm up; UnusableFile where that takes longer than `seconds`, or kills."""
        return from_json(Opened, self._ask({"do": "open", **to_json(wanted)}, seconds))

    def window(self, count: int, seconds: float) -> tuple[Turn, Array]:
        """Time `count` inferences: what happened meanwhile, and int64 [count] nanoseconds."""
        deadline = time.monotonic() + seconds
        turn = from_json(Turn, self._ask({"do": "window", "count": count}, seconds))
        samples = np.frombuffer(self._take(8 * count, deadline), np.int64)
        return turn, samples

    def count(self, n: int, warmup: int, seconds: float) -> Instructions:
        """Count the instructions of `n` inferences; DeviceError where nothing counts them there."""
        return from_json(Instructions, self._ask({"do": "count", "n": n, "warmup": warmup}, seconds))

    def classify(self, images: Array, seconds: float) -> Array:
        """What the model says to pictures, uint8 [N, H, W, 3] at its size, as its file gives it: [N, K]."""
        deadline = time.monotonic() + seconds
        order = {"do": "classify", "shape": images.shape}
        found = from_json(Answers, self._ask(order, seconds, np.ascontiguousarray(images).tobytes()))
        kind = np.dtype(found.dtype)
        content = self._take(kind.itemsize * math.prod(found.shape), deadline)
        return np.frombuffer(content, kind).reshape(found.shape)

    def _ask(self, request: Mapping[str, Any], seconds: float, behind: bytes = b"") -> Any:
        assert self._process.stdin is not None, "it was made with a pipe"
        deadline = time.monotonic() + seconds
        left = memoryview(json.dumps(request).encode() + b"\n" + behind)
        try:
            while left:
                left = left[self._process.stdin.write(left) :]
        except BrokenPipeError as error:
            raise self._death() from error
        while b"\n" not in self._unread:
            self._read(deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError as error:  # whoever speaks there is no process of ours any more
            raise UnusableFile(f"{self._path}: can't be used, an engine went astray on it") from error
        return answered(found)

    def _take(self, count: int, deadline: float) -> bytes:
        while len(self._unread) < count:
            self._read(deadline)
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def _read(self, deadline: float) -> None:
        """Wait for more of an answer."""
        assert self._process.stdout is not None, "it was made with a pipe"
        descriptor, left = self._process.stdout.fileno(), deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise UnusableFile(
                f"{self._path}: an engine did not get through with it in time; a model that is only slow gets more "
                "time with a larger --seconds"
            )
        part = os.read(descriptor, 1 << 16)
        if not part:
            raise self._death()
        self._unread += part

    def _death(self) -> UnusableFile:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read()
        self._place.check(code, said)
        return death(self._path, code, said)
