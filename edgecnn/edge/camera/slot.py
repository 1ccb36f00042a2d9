"""The newest frame, in memory that two processes share: written by capture, read where it lies, never queued.

Four buffers lie in an anonymous file (memfd), which has no name that could be left behind. The writer takes one that is
neither the newest nor held by the reader, so nobody waits for anybody. The reader holds the frame it works on and the
one before it, whose picture a view may still want. Every frame has a number; a buffer says whose pixels it holds, and
the reader looks again after reading, so that a frame is never taken for another one. Readers are woken by an eventfd.
"""

from __future__ import annotations

import mmap
import os
import select
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from edgecnn.edge.pixels import Image

BUFFERS = 4
CAPACITY = 128 << 20
"""Bytes of a buffer: 44 megapixels. Memory is only used as far as frames reach."""
NAME = 4096
"""Bytes for a frame's name: as long as Linux lets a path be."""
WORDS = 8
"""int64 numbers that describe a buffer: number, height, width, captured, arrived, decoded, unused, name's length."""
HEADER = 4096
NEWEST, TAKEN, HELD, HELD_BEFORE, UNIQUE, REPEATED = range(6)
"""Where numbers about all buffers stand in the header."""


@dataclass(frozen=True)
class Entry:
    """A frame in the slot. pixels: uint8 [H, W, 3] RGB, the slot's own memory; times on time.monotonic_ns()."""

    number: int
    pixels: Image
    captured_ns: int
    arrived_ns: int
    """When capture got it and began to decode."""
    decoded_ns: int
    name: str | None


@dataclass(frozen=True)
class Ends:
    """File descriptors of a slot, to be passed on to a process: the memory, and who is woken by what."""

    memory: int
    put: int
    taken: int

    def all(self) -> tuple[int, int, int]:
        """For subprocess's `pass_fds`."""
        return self.memory, self.put, self.taken


def make_ends() -> Ends:
    """A new slot's; the caller closes them."""
    memory = os.memfd_create("edgecnn-frames", os.MFD_CLOEXEC)
    os.ftruncate(memory, HEADER + BUFFERS * (NAME + CAPACITY))
    flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
    return Ends(memory, os.eventfd(0, flags), os.eventfd(0, flags))


class Slot:
    """One process's view of the memory. There is one writer and one reader; others may look (`picture`)."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._memory = mmap.mmap(ends.memory, HEADER + BUFFERS * (NAME + CAPACITY))
        self._header = np.frombuffer(self._memory, np.int64, BUFFERS * WORDS + WORDS)
        self._all = self._header[:WORDS]
        self._about = self._header[WORDS:].reshape(BUFFERS, WORDS)
        self._prepared: tuple[int, Image] | None = None

    def close(self) -> None:
        """Let go of the memory and the descriptor that `mmap` has a copy of; pixels must not be read any more."""
        self._prepared = None
        del self._header, self._all, self._about
        with suppress(BufferError):  # somebody still has a frame: then it goes with that
            self._memory.close()

    # --- the writer's side ---

    def room(self, height: int, width: int) -> Image:
        """Memory for the next frame's uint8 [H, W, 3]: what is written here and then `put` needn't be copied.

        ValueError where that is larger than a buffer.
        """
        if height * width * 3 > CAPACITY:
            raise ValueError(f"{width}x{height} pixels are more than a frame may have")
        place = self._free_place()
        self._about[place, 0] = -(int(self._all[NEWEST]) + 1)
        self._prepared = place, self._pixels(place, height, width)
        return self._prepared[1]

    def put(self, pixels: Image, captured_ns: int, arrived_ns: int, decoded_ns: int, name: str | None = None) -> int:
        """A newer frame, uint8 [H, W, 3]; its number. ValueError where it is larger than a buffer."""
        height, width = pixels.shape[:2]
        if self._prepared is None or self._prepared[1] is not pixels:
            self.room(height, width)[:] = pixels
        assert self._prepared is not None, "room() has prepared a place"
        (place, _), self._prepared = self._prepared, None
        number, about = int(self._all[NEWEST]) + 1, self._about[place]
        written = (name or "").encode(errors="surrogateescape")[:NAME]
        start = self._start(place)
        self._memory[start : start + len(written)] = written
        about[1:] = (height, width, captured_ns, arrived_ns, decoded_ns, 0, len(written) if name is not None else -1)
        about[0] = number
        self._all[NEWEST] = number
        self._all[UNIQUE] += 1
        os.eventfd_write(self._ends.put, 1)
        return number

    def repeat(self) -> None:
        """The source gave the same frame again."""
        self._all[REPEATED] += 1

    def wait_taken(self, number: int, timeout_s: float) -> bool:
        """Until the reader is done with a frame: for sources of which none may be lost."""
        if self._all[TAKEN] >= number:
            return True
        _wait(self._ends.taken, timeout_s)
        return bool(self._all[TAKEN] >= number)

    def _free_place(self) -> int:
        kept = {int(self._all[word]) for word in (NEWEST, HELD, HELD_BEFORE)} - {0}
        return next(place for place in range(BUFFERS) if int(self._about[place, 0]) not in kept)

    # --- the reader's side ---

    def newest(self, after: int, timeout_s: float) -> Entry | None:
        """The newest frame beyond number `after`, held from now on; None where none came in time."""
        if self._all[NEWEST] <= after:
            _wait(self._ends.put, timeout_s)
        while (number := int(self._all[NEWEST])) > after:
            if number != int(self._all[HELD]):
                self._all[HELD_BEFORE] = self._all[HELD]
                self._all[HELD] = number
            entry = self.look(number)
            if entry is not None:
                return entry
        return None

    def done(self, number: int) -> None:
        """The reader is done with a frame: a writer that waits for that goes on."""
        self._all[TAKEN] = number
        os.eventfd_write(self._ends.taken, 1)

    # --- anybody's ---

    def look(self, number: int) -> Entry | None:
        """A frame by its number, where it lies; None where it has been written over."""
        for place in range(BUFFERS):
            if int(self._about[place, 0]) == number:
                height, width, captured, arrived, decoded, _, length = (int(word) for word in self._about[place, 1:])
                start = self._start(place)
                name = self._memory[start : start + max(0, length)].decode(errors="surrogateescape")
                pixels = self._pixels(place, height, width)
                if self.holds(number):
                    return Entry(number, pixels, captured, arrived, decoded, name if length >= 0 else None)
        return None

    def holds(self, number: int) -> bool:
        """Whether a frame is (still) there, whole."""
        return bool((self._about[:, 0] == number).any())

    def copy(self, number: int) -> Image | None:
        """A copy of a frame's pixels; None where it has been written over, be it meanwhile."""
        entry = self.look(number)
        copied = None if entry is None else entry.pixels.copy()
        return copied if self.holds(number) else None

    @property
    def unique(self) -> int:
        """How many frames came that differ from the one before."""
        return int(self._all[UNIQUE])

    @property
    def repeated(self) -> int:
        """How many frames came that were the one before."""
        return int(self._all[REPEATED])

    @property
    def number(self) -> int:
        """The newest frame's; 0 before the first."""
        return int(self._all[NEWEST])

    def _start(self, place: int) -> int:
        return HEADER + place * (NAME + CAPACITY)

    def _pixels(self, place: int, height: int, width: int) -> Image:
        start = self._start(place) + NAME
        return np.frombuffer(self._memory, np.uint8, height * width * 3, start).reshape(height, width, 3)


def _wait(descriptor: int, timeout_s: float) -> None:
    """Until an eventfd is written to; its count is taken."""
    if select.select([descriptor], [], [], timeout_s)[0]:
        with suppress(BlockingIOError):  # another one took it
            os.eventfd_read(descriptor)
