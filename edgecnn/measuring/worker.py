"""The coordinator's side of a measuring process: what kills or hangs it is the model file's fault, in one sentence."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.edge.child import answered, death
from edgecnn.edge.measure.instructions import Instructions
from edgecnn.edge.measure.process import Answers, Engine, Open, Opened, Turn
from edgecnn.edge.runtimes import Profile
from edgecnn.errors import DeviceError, MissingExtra, UnusableFile
from edgecnn.measuring.conversation import Astray, Ended, Partner, Silent
from edgecnn.measuring.place import HERE, Place
from edgecnn.metrics import Array
from edgecnn.records import from_json, to_json

STARTING_S = 120.0
"""Nothing of the model is looked at yet: whatever takes so long to import is not its fault."""


class Worker(Partner):
    """A process that holds one model open, at a place; `path` is the model file, for messages.

    Each call raises UnusableFile where the process takes longer than `seconds` or dies, LinkLost where its place can't
    be reached.
    """

    def __init__(self, path: Path, place: Place = HERE) -> None:
        super().__init__(place, ["bench"])
        self._path = path
        self._place = place

    def load_engine(self, runtime: str) -> Engine:
        """Load an engine's library; MissingExtra where it is not installed, DeviceError where it can't be loaded."""
        try:
            return from_json(Engine, self._ask({"do": "load_engine", "runtime": runtime}, STARTING_S))
        except MissingExtra as error:
            raise self._place.lacks(runtime, error) from error
        except UnusableFile as error:
            raise DeviceError(f"{runtime} can't be loaded there: {error}") from error

    def open(self, wanted: Open, seconds: float) -> Opened:
        """Open the model, run and warm up."""
        return from_json(Opened, self._ask({"do": "open", **to_json(wanted)}, seconds))

    def window(self, count: int, seconds: float) -> tuple[Turn, Array]:
        """Time `count` inferences: what happened meanwhile, and int64 [count] nanoseconds."""
        turn = from_json(Turn, self._ask({"do": "window", "count": count}, seconds))
        return turn, np.frombuffer(self._take(8 * count, seconds), np.int64)

    def profile(self, runs: int, seconds: float) -> Profile:
        """What each operator takes, over so many runs."""
        return from_json(Profile, self._ask({"do": "profile", "runs": runs}, seconds))

    def count(self, n: int, warmup: int, seconds: float) -> Instructions:
        """Count the instructions of `n` inferences; DeviceError where nothing counts them there."""
        return from_json(Instructions, self._ask({"do": "count", "n": n, "warmup": warmup}, seconds))

    def classify(self, images: Array, seconds: float) -> Array:
        """What the model says to pictures, uint8 [N, H, W, C] at its size, as its file gives it: [N, K]."""
        order = {"do": "classify", "shape": images.shape}
        found = from_json(Answers, self._ask(order, seconds, np.ascontiguousarray(images).tobytes()))
        kind = np.dtype(found.dtype)
        return np.frombuffer(self._take(kind.itemsize * math.prod(found.shape), seconds), kind).reshape(found.shape)

    def _ask(self, request: Mapping[str, Any], seconds: float, behind: bytes = b"") -> Any:
        with self._blaming():
            return answered(self._conversation.ask(request, seconds, behind))

    def _take(self, count: int, seconds: float) -> bytes:
        with self._blaming():
            return self._conversation.take(count, seconds)

    @contextlib.contextmanager
    def _blaming(self) -> Iterator[None]:
        """What happens to the process is the file's fault."""
        try:
            yield
        except Ended as ended:
            raise death(self._path, ended.code, ended.said) from ended
        except Silent as silent:
            raise UnusableFile(
                f"{self._path}: an engine did not get through with it in time; a model that is only slow gets more "
                "time with a larger --seconds"
            ) from silent
        except Astray as astray:
            raise UnusableFile(f"{self._path}: can't be used, an engine went astray on it") from astray
