"""The newest frame, in memory that two processes share: written by capture, read where it lies, never queued.

Four buffers lie in an anonymous file (memfd), which has no name that could be left behind. The writer takes one that is
neither the newest nor held by the reader, so nobody waits for anybody. The reader holds the frame it works on and the
one before it, whose picture a view may still want. Every frame has a number; a buffer says whose pixels it holds, and
the reader looks again after reading, so that a frame is never taken for another one. The reader is woken by an eventfd,
when the writer takes a buffer and again when the frame is there: the first time takes longer, beside the writing.
"""

from __future__ import annotations

import mmap
import os
import select
import time
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
"""int64 numbers that describe a buffer: number, height, width, captured, arrived, decoded, name's length, unused."""
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
        header = memoryview(self._memory)[:HEADER].cast("q")
        self._all = header[:WORDS]
        self._about = [header[start : start + WORDS] for start in range(WORDS, WORDS + BUFFERS * WORDS, WORDS)]
        self._views: list[Image | None] = [None] * BUFFERS
        self._prepared: tuple[int, Image] | None = None

    def close(self) -> None:
        """Let go of the memory and the descriptor that `mmap` has a copy of; pixels must not be read any more."""
        self._prepared = None
        del self._all, self._about, self._views
        with suppress(BufferError):  # somebody still has a frame: then it goes with that
            self._memory.close()

    # --- the writer's side ---

    def room(self, height: int, width: int) -> Image:
        """Memory for the next frame's uint8 [H, W, 3]: what is written here and then `put` needn't be copied.

        ValueError where that is larger than a buffer.
        """
        if height * width * 3 > CAPACITY:
            most = f"{CAPACITY / 3e6:.0f} megapixels"
            raise ValueError(f"{width}x{height} pixels are more than the {most} that a frame may have; make it smaller")
        place = self._free_place()
        self._about[place][0] = -(self._all[NEWEST] + 1)
        self._prepared = place, self._pixels(place, height, width)
        os.eventfd_write(self._ends.put, 1)
        return self._prepared[1]

    def put(self, pixels: Image, captured_ns: int, arrived_ns: int, decoded_ns: int, name: str | None = None) -> int:
        """A newer frame, uint8 [H, W, 3]; its number. ValueError where it is larger than a buffer."""
        height, width = pixels.shape[:2]
        if self._prepared is None or self._prepared[1] is not pixels:
            self.room(height, width)[:] = pixels
        assert self._prepared is not None, "room() has prepared a place"
        (place, _), self._prepared = self._prepared, None
        number, about = self._all[NEWEST] + 1, self._about[place]
        length = -1 if name is None else self._write_name(place, name)
        for word, value in enumerate((height, width, captured_ns, arrived_ns, decoded_ns, length), 1):
            about[word] = value
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
        return self._all[TAKEN] >= number

    def _write_name(self, place: int, name: str) -> int:
        written = name.encode(errors="surrogateescape")[:NAME]
        start = self._start(place)
        self._memory[start : start + len(written)] = written
        return len(written)

    def _free_place(self) -> int:
        kept = {self._all[word] for word in (NEWEST, HELD, HELD_BEFORE)} - {0}
        return next(place for place in range(BUFFERS) if self._about[place][0] not in kept)

    # --- the reader's side ---

    def newest(self, after: int, timeout_s: float) -> Entry | None:
        """The newest frame beyond number `after`, held from now on; None where none came in time."""
        until = time.monotonic() + timeout_s
        while self._all[NEWEST] <= after and (left := until - time.monotonic()) > 0:
            _wait(self._ends.put, left)
        while (number := self._all[NEWEST]) > after:
            if number != self._all[HELD]:
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
        for place, about in enumerate(self._about):
            if about[0] == number:
                _, height, width, captured, arrived, decoded, length, _ = about
                name = None if length < 0 else self._read_name(place, length)
                pixels = self._pixels(place, height, width)
                if self.holds(number):
                    return Entry(number, pixels, captured, arrived, decoded, name)
        return None

    def holds(self, number: int) -> bool:
        """Whether a frame is (still) there, whole."""
        return any(about[0] == number for about in self._about)

    def copy(self, number: int) -> Image | None:
        """A copy of a frame's pixels; None where it has been written over, be it meanwhile."""
        entry = self.look(number)
        copied = None if entry is None else entry.pixels.copy()
        return copied if self.holds(number) else None

    @property
    def unique(self) -> int:
        """How many frames came that differ from the one before."""
        return self._all[UNIQUE]

    @property
    def repeated(self) -> int:
        """How many frames came that were the one before."""
        return self._all[REPEATED]

    @property
    def number(self) -> int:
        """The newest frame's; 0 before the first."""
        return self._all[NEWEST]

    def _start(self, place: int) -> int:
        return HEADER + place * (NAME + CAPACITY)

    def _read_name(self, place: int, length: int) -> str:
        start = self._start(place)
        return self._memory[start : start + length].decode(errors="surrogateescape")

    def _pixels(self, place: int, height: int, width: int) -> Image:
        """A buffer as a picture; of a camera's frames, which have one size, made once."""
        view = self._views[place]
        if view is None or view.shape[:2] != (height, width):
            start = self._start(place) + NAME
            view = np.frombuffer(self._memory, np.uint8, height * width * 3, start).reshape(height, width, 3)
            self._views[place] = view
        return view


def _wait(descriptor: int, timeout_s: float) -> None:
    """Until an eventfd is written to; its count is taken."""
    if select.select([descriptor], [], [], timeout_s)[0]:
        with suppress(BlockingIOError):  # another one took it
            os.eventfd_read(descriptor)
