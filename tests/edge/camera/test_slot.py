"""The slot between two processes: the newest frame, whole or not at all, and never another one's pixels."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edgecnn.edge.camera.slot import BUFFERS, HELD, HELD_BEFORE, Ends, Slot, make_ends
from edgecnn.edge.child import environment


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = make_ends()
    yield made
    for descriptor in made.all():
        os.close(descriptor)


def frame(value: int, height: int = 4, width: int = 6) -> np.ndarray:
    return np.full((height, width, 3), value % 256, np.uint8)


def test_the_newest_frame_is_read_where_it_lies(ends: Ends) -> None:
    writer, reader = Slot(ends), Slot(ends)
    assert reader.newest(0, 0.0) is None
    for number in (1, 2, 3):
        assert writer.put(frame(number), 10, 20, 30, f"no. {number}") == number
    entry = reader.newest(0, 0.0)
    assert entry is not None
    assert (entry.number, entry.captured_ns, entry.arrived_ns, entry.decoded_ns) == (3, 10, 20, 30)
    assert entry.name == "no. 3"
    assert np.array_equal(entry.pixels, frame(3))
    assert entry.pixels.base is not None, "no copy was made"
    assert reader.newest(3, 0.0) is None


def test_frames_of_any_size_and_name_follow_each_other(ends: Ends) -> None:
    writer, reader = Slot(ends), Slot(ends)
    for number, (height, width) in enumerate([(1, 1), (480, 640), (3, 5000), (2, 2)], start=1):
        writer.put(frame(number, height, width), 0, 0, 0, None if number == 2 else "ü\n\udcff" * number)
        entry = reader.newest(number - 1, 0.0)
        assert entry is not None
        assert np.array_equal(entry.pixels, frame(number, height, width))
        assert entry.name == (None if number == 2 else "ü\n\udcff" * number)


def test_a_frame_may_be_written_where_it_will_lie(ends: Ends) -> None:
    writer, reader = Slot(ends), Slot(ends)
    for number in range(1, 20):
        writer.room(5, 7)  # of a frame that was damaged after all
        room = writer.room(4, 6)
        room[:] = frame(number)
        assert not reader.holds(number)
        assert writer.put(room, 10, 20, 30) == number
        entry = reader.newest(number - 1, 0.0)
        assert entry is not None
        assert np.array_equal(entry.pixels, frame(number))
        looked_at = writer.look(number)
        assert looked_at is not None
        assert np.shares_memory(room, looked_at.pixels)
    writer.room(4, 6)[:] = 0
    writer.put(frame(200), 0, 0, 0)
    copied = reader.newest(19, 0.0)
    assert copied is not None
    assert np.array_equal(copied.pixels, frame(200))


def test_what_the_reader_holds_is_not_written_over(ends: Ends) -> None:
    writer, reader = Slot(ends), Slot(ends)
    writer.put(frame(1), 0, 0, 0)
    first = reader.newest(0, 0.0)
    assert first is not None
    for number in range(2, 40):
        writer.put(frame(number), 0, 0, 0)
    assert reader.holds(1)
    assert np.array_equal(first.pixels, frame(1)), "38 frames later"
    assert np.array_equal(reader.copy(1), frame(1)), "for a view, too"
    second = reader.newest(1, 0.0)
    assert second is not None
    assert second.number == 39
    for number in range(40, 60):
        writer.put(frame(number), 0, 0, 0)
    assert reader.holds(1), "the one before the one that is worked on may still be looked at"
    assert reader.holds(39)
    reader.newest(39, 0.0)
    writer.put(frame(60), 0, 0, 0)
    assert not reader.holds(1)
    assert reader.copy(1) is None


def test_a_frame_that_is_too_large_is_refused(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecnn.edge.camera.slot.CAPACITY", 100)
    with pytest.raises(ValueError, match="6x6 pixels"):
        Slot(ends).put(frame(1, 6, 6), 0, 0, 0)
    with pytest.raises(ValueError, match="6x6 pixels"):
        Slot(ends).room(6, 6)


def test_a_writer_can_wait_until_its_frame_was_taken(ends: Ends) -> None:
    writer, reader = Slot(ends), Slot(ends)
    number = writer.put(frame(1), 0, 0, 0)
    assert not writer.wait_taken(number, 0.01)
    reader.done(number)
    assert writer.wait_taken(number, 10.0)


WRITER = """
import sys, time
import numpy as np
from edgecnn.edge.camera.slot import Ends, Slot
slot = Slot(Ends(*map(int, sys.argv[1:4])))
until = time.monotonic() + float(sys.argv[4])
number = 0
while time.monotonic() < until:
    number += 1
    slot.put(np.full((64, 64 + number % 7, 3), number % 256, np.uint8), number, 0, 0)
print(number)
"""


def test_a_reader_never_sees_half_a_frame_of_a_writer_that_does_not_wait(ends: Ends) -> None:
    reader = Slot(ends)
    words = [sys.executable, "-c", WRITER, *map(str, ends.all()), "1.0"]
    process = subprocess.Popen(words, pass_fds=ends.all(), env=environment(), stdout=subprocess.PIPE, text=True)
    seen, number, torn = 0, 0, 0
    while process.poll() is None or reader.number > number:
        entry = reader.newest(number, 0.05)
        if entry is None:
            continue
        number = entry.number
        values = set(np.unique(entry.pixels).tolist())
        if not reader.holds(number):
            torn += 1
            continue
        assert values == {number % 256}
        assert entry.captured_ns == number
        assert entry.pixels.shape == (64, 64 + number % 7, 3)
        seen += 1
    written = int(process.communicate()[0])
    assert number == written, "the last one is not lost"
    assert seen > 50
    assert torn <= seen, "the writer stays off what is held"


def test_without_the_second_look_a_torn_frame_would_be_taken(ends: Ends) -> None:
    """The fault that `holds` is for: a writer which does not know what the reader holds."""
    writer, reader = Slot(ends), Slot(ends)
    writer.put(frame(1), 0, 0, 0)
    entry = reader.newest(0, 0.0)
    assert entry is not None
    reader._all[HELD] = reader._all[HELD_BEFORE] = 0
    for number in range(2, 2 + BUFFERS):
        writer.put(frame(number), 0, 0, 0)
    assert not np.array_equal(entry.pixels, frame(1))
    assert not reader.holds(1)


def test_who_is_woken_by_a_frame_that_is_being_written_waits_on_for_it(ends: Ends) -> None:
    writer, reader = Slot(ends), Slot(ends)
    writer.room(4, 6)
    started, spent = time.monotonic(), time.process_time()
    assert reader.newest(0, 0.3) is None, "it may be damaged after all"
    assert time.monotonic() - started >= 0.3
    assert time.process_time() - spent < 0.1, "asleep"
    later = threading.Timer(0.1, lambda: writer.put(frame(1), 0, 0, 0))
    writer.room(4, 6)
    later.start()
    entry = reader.newest(0, 10.0)
    assert entry is not None
    assert np.array_equal(entry.pixels, frame(1))


def test_waiting_ends_as_soon_as_a_frame_is_put(ends: Ends) -> None:
    reader = Slot(ends)
    words = [sys.executable, "-c", WRITER, *map(str, ends.all()), "0"]
    code = WRITER.replace(
        "until = time.monotonic()",
        "time.sleep(0.3); slot.put(np.zeros((2, 2, 3), np.uint8), time.monotonic_ns(), 0, 0); until = time.monotonic()",
    )
    words[2] = code
    process = subprocess.Popen(words, pass_fds=ends.all(), env=environment(), stdout=subprocess.PIPE)
    entry = reader.newest(0, 30.0)
    assert entry is not None
    assert time.monotonic_ns() - entry.captured_ns < 0.5e9
    process.communicate()
