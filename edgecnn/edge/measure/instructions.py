"""How many instructions this process has executed, where it is emulated and a plugin counts: a figure that repeats.

An emulated device has no times. Under qemu-user with tools/emulation/count.c, a process started with QEMU_PLUGIN in its
environment asks for its count by a system call that Linux does not know.
"""

from __future__ import annotations

import ctypes
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType

from edgecnn.edge.measure.timing import no_garbage_collection
from edgecnn.edge.runtimes import Array, Session
from edgecnn.errors import DeviceError

ASK = 0x45434E4E
"""The first argument of prctl that the plugin knows (ECNN); the second is where it writes to."""
READINGS = 9


@dataclass(frozen=True)
class Instructions:
    """Guest instructions of one inference: the median of `n`, the least and the most.

    All that `Session.run` executes counts, in all of the process's threads: the engine and the Python around it, no
    kernel. `reading` is what one reading of the counter itself adds, which is in the other figures too.
    """

    n: int
    median: int
    least: int
    most: int
    reading: int


class Counter:
    """This process's count of executed instructions. Raises DeviceError where nothing counts them.

    With several threads at once the plugin loses a few, and how long threads wait for each other is chance.
    """

    def __init__(self) -> None:
        self._prctl = ctypes.CDLL(None).prctl
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        try:
            self.read()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Counter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> int:
        """Instructions of all threads since the process began."""
        self._prctl(ASK, self._in)
        try:
            return int.from_bytes(os.read(self._out, 8), "little")
        except BlockingIOError as error:
            raise DeviceError(
                "nothing counts this process's instructions; they can be counted on the virtual Pi only, in a process "
                "that was started with QEMU_PLUGIN=/usr/local/lib/edgecnn/count.so in its environment"
            ) from error

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._out)
        os.close(self._in)


def count_inferences(session: Session, arrays: Sequence[Array], n: int, warmup: int) -> Instructions:
    """Count `n` inferences one by one, after `warmup` that are not counted; garbage collection rests meanwhile.

    Nothing is subtracted. Raises DeviceError where nothing counts.
    """
    run = session.run
    with Counter() as counter, no_garbage_collection():
        idle = [counter.read() for _ in range(READINGS + 1)]
        for _ in range(warmup):
            run(*arrays)
        readings = [counter.read()]
        for _ in range(n):
            run(*arrays)
            readings.append(counter.read())
    taken = _differences(readings)
    return Instructions(n, _middle(taken), min(taken), max(taken), _middle(_differences(idle)))


def _differences(readings: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise(readings)]


def _middle(values: Sequence[int]) -> int:
    return round(statistics.median(values))
